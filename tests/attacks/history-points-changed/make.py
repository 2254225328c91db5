def make(folder, lab):
    notebook = lab.read(folder)
    notebook["cells"][lab.at(notebook, "spread-tests")]["metadata"]["nbgrader"]["points"] = 1000
    notebook["cells"][lab.at(notebook, "report-tests")]["metadata"]["nbgrader"]["points"] = -5
    lab.write(folder, notebook)
