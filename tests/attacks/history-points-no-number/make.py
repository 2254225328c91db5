def make(folder, lab):
    notebook = lab.read(folder)
    for name, points in {
        "spread-tests": float("nan"),
        "spread-hidden-tests": "ten",
        "report-tests": [10],
        "report-hidden-tests": None,
        "squares-tests": float("inf"),
    }.items():
        notebook["cells"][lab.at(notebook, name)]["metadata"]["nbgrader"]["points"] = points
    lab.write(folder, notebook)
