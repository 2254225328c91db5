def make(folder, lab):
    notebook = lab.read(folder)
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        cell.pop("id", None)
    notebook["nbformat_minor"] = 4
    lab.write(folder, notebook)
