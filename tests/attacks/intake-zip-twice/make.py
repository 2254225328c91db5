import warnings
import zipfile


def make(folder, lab):
    path = folder.parent / f"{folder.name}.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(f"{folder.name}/{lab.file}", (folder / lab.file).read_bytes())
        archive.writestr(f"{folder.name}/{lab.file}", b"no notebook")
        archive.writestr(f"{folder.name}/{lab.file.upper()}", b"no notebook")
    return path
