def make(folder, lab):
    notebook = lab.read(folder)
    notebook["nbformat"], notebook["nbformat_minor"] = 5, 0
    lab.write(folder, notebook)
