import os

os.write(1, b"got-" + b"through: sitecustomize.py of the folder\n")
