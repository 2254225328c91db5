raise SystemExit("got-" + "through: hpclab.py of the folder")
