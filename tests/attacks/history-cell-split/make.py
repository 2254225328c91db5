def make(folder, lab):
    notebook = lab.read(folder)
    at = lab.at(notebook, "squares")
    notebook["cells"][at]["source"] = "rows = [(n, n * n) for n in range(1, 21)]"
    notebook["cells"].insert(
        at + 1,
        lab.code('open("squares.csv", "w").write("n,square\\n" + "\\n".join(f"{n},{s}" for n, s in rows))'),
    )
    lab.write(folder, notebook)
