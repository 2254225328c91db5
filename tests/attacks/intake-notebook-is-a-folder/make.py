def make(folder, lab):
    content = (folder / lab.file).read_bytes()
    (folder / lab.file).unlink()
    (folder / lab.file).mkdir()
    (folder / lab.file / lab.file).write_bytes(content)
