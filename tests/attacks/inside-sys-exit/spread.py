import sys

sys.exit("I am done")
