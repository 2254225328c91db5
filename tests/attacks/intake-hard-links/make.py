import os


def make(folder, lab):
    try:
        os.link(lab.secret, folder / "borrowed.txt")
    except OSError:  # another file system
        (folder / "borrowed.txt").write_text("nothing")
