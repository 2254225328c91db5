def make(folder, lab):
    notebook = lab.read(folder)
    notebook["cells"].reverse()
    lab.write(folder, notebook)
