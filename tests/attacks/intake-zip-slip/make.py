import zipfile


def make(folder, lab):
    path = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder.name}/{lab.file}", (folder / lab.file).read_bytes())
        for name in (
            "../slipped.txt",
            f"{folder.name}/../../slipped.txt",
            str(lab.canary),
            "..\\slipped.txt",
            "C:\\slipped.txt",
            f"{folder.name}/a\0b",
            f"{folder.name}/./../../slipped.txt",
        ):
            archive.writestr(name, "slipped")
    return path
