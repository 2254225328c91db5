raise SystemExit("got-" + "through: conftest.py of the folder")
