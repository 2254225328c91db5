import os


def make(folder, lab):
    here = os.open(folder, os.O_RDONLY)
    for _ in range(120):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
