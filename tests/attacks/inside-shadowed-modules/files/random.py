import os

os.write(1, b"got-" + b"through: random.py of the folder\n")


def randrange(*_):
    return 0
