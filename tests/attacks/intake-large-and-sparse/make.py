import os


def make(folder, lab):
    for name, size in (("terabyte.h5", 1 << 40), ("large.h5", 300 << 20)):
        (folder / name).touch()
        os.truncate(folder / name, size)
