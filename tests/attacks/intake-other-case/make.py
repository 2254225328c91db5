def make(folder, lab):
    (folder / lab.file).rename(folder / lab.file.upper())
