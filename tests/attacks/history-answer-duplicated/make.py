import copy


def make(folder, lab):
    notebook = lab.read(folder)
    at = lab.at(notebook, "spread")
    again = copy.deepcopy(notebook["cells"][at])
    again["source"] = "# YOUR WORK HERE"
    notebook["cells"].insert(at + 1, again)
    lab.write(folder, notebook)
