import zipfile


def make(folder, lab):
    with zipfile.ZipFile(folder / "ex01.zip", "w") as archive:
        archive.write(folder / lab.file, lab.file)
    (folder / lab.file).unlink()
