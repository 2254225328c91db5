import os

os.symlink("squares.csv", "squares.csv")
