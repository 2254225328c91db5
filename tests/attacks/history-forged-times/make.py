import os


def make(folder, lab):
    (folder / "timestamp.txt").write_text("1999-01-01 00:00:00 UTC")
    for number, path in enumerate(sorted(folder.iterdir())):
        moment = (0, 2**32 - 1, -(2**31), 2**33)[number % 4]
        os.utime(path, (moment, moment))
