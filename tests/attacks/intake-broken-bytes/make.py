def make(folder, lab):
    text = (folder / lab.file).read_text()
    text = text.replace(
        '"nbformat": 4', '"x": NaN, "y": -Infinity, "z": "\\ud800", "nbformat": 4, "nbformat": 4', 1
    )
    (folder / lab.file).write_bytes(
        b"\xef\xbb\xbf" + text.replace("Three small", "Three \udcff small").encode(errors="surrogateescape")
    )
