import os


def make(folder, lab):
    (folder / lab.file).unlink()
    os.mkfifo(folder / lab.file)
