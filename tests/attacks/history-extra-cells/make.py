def make(folder, lab):
    notebook = lab.read(folder)
    cells = []
    for cell in notebook["cells"]:
        cells += [cell, lab.code("readings = []\nevidence = check = None\n")]
    notebook["cells"] = cells
    lab.write(folder, notebook)
