def make(folder, lab):
    text = (folder / lab.file).read_text()
    (folder / lab.file).write_text(
        '{"metadata": {"x": ' + "[" * 200_000 + "]" * 200_000 + "}," + text.lstrip()[1:]
    )
