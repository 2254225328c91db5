def make(folder, lab):
    (folder / "report.json").write_text('{"count": 8, "mean": 15.0}')
    (folder / "squares.csv").write_text("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(1, 21)))
