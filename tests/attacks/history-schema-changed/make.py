def make(folder, lab):
    notebook = lab.read(folder)
    for version, cell in enumerate(cell for cell in notebook["cells"] if "nbgrader" in cell["metadata"]):
        cell["metadata"]["nbgrader"]["schema_version"] = (1, 99)[version % 2]
    lab.write(folder, notebook)
