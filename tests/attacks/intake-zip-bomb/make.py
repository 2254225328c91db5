import zipfile


def make(folder, lab):
    path = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(f"{folder.name}/{lab.file}", (folder / lab.file).read_bytes())
        with archive.open(f"{folder.name}/data.bin", "w", force_zip64=True) as file:
            for _ in range(100):
                file.write(bytes(1 << 20))
    return path
