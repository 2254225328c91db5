import os


def make(folder, lab):
    (folder / lab.file).unlink()
    os.symlink(lab.secret, folder / lab.file)
