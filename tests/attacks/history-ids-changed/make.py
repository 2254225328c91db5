def make(folder, lab):
    notebook = lab.read(folder)
    one, other = lab.at(notebook, "spread-tests"), lab.at(notebook, "report-tests")
    notebook["cells"][one]["metadata"]["nbgrader"]["grade_id"] = "report-tests"
    notebook["cells"][other]["metadata"]["nbgrader"]["grade_id"] = "spread-tests"
    lab.write(folder, notebook)
