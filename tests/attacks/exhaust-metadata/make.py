def make(folder, lab):
    notebook = lab.read(folder)
    notebook["metadata"]["x"] = "y" * 40_000_000
    lab.write(folder, notebook)
