def make(folder, lab):
    text = (folder / lab.file).read_text()
    (folder / lab.file).write_text(text.replace("def spread(values):", "# \\ud83d\\ndef spread(values):", 1))
