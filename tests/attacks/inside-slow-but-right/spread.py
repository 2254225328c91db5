import time

time.sleep(1)


def spread(values):
    time.sleep(0.05)
    return max(values) - min(values)
