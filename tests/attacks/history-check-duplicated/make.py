import copy


def make(folder, lab):
    notebook = lab.read(folder)
    notebook["cells"] = [
        copy.deepcopy(cell)
        for cell in notebook["cells"]
        for _ in range(1 + bool(cell["metadata"].get("nbgrader", {}).get("grade")))
    ]
    lab.write(folder, notebook)
