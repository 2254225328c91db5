def make(folder, lab):
    (folder / lab.file).write_bytes(b"")
