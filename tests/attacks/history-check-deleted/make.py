def make(folder, lab):
    notebook = lab.read(folder)
    notebook["cells"] = [
        cell for cell in notebook["cells"] if not cell["metadata"].get("nbgrader", {}).get("grade")
    ]
    lab.write(folder, notebook)
