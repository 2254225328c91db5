import logging
import os
import sys
import warnings

warnings.warn("this is fine")
logging.warning("job queued")
os.write(2, b"a library says hello\n")
!ls /nowhere


def spread(values):
    print("looking at", len(values), "values", file=sys.stderr)
    warnings.warn("asked")
    return max(values) - min(values)
