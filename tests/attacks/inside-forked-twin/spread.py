import os

twin = os.fork()


def spread(values):
    return max(values) - min(values)
