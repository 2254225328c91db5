import os


def make(folder, lab):
    os.symlink(lab.secret, folder / "report.json")
    os.symlink(lab.secret.parent, folder / "notes")
    os.symlink("../../gradebook.db", folder / "squares.csv")
    os.symlink("/etc/shadow", folder / "shadow.csv")
    os.symlink("loop", folder / "loop")
    os.symlink("/proc/self/environ", folder / "environ.txt")
    os.symlink("/dev/zero", folder / "endless.txt")
