def make(folder, lab):
    notebook = lab.read(folder)
    nested = []
    for _ in range(900):
        nested = [nested]
    notebook["metadata"]["x"] = nested
    notebook["cells"][0]["metadata"]["x"] = nested
    lab.write(folder, notebook)
