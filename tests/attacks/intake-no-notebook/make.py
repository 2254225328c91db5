def make(folder, lab):
    (folder / lab.file).rename(folder / "my solution (final) v2.ipynb.txt")
