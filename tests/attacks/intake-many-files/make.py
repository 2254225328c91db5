def make(folder, lab):
    (folder / "many").mkdir()
    for number in range(30_000):
        (folder / "many" / str(number)).touch()
