def make(folder, lab):
    notebook = lab.read(folder)
    notebook["cells"] += [lab.code(f"x = {number}") for number in range(100_000)]
    lab.write(folder, notebook)
