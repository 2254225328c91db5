import os
import sys
from pathlib import Path

import hpclab
import IPython
import numpy

for module in (hpclab, os, IPython, numpy):
    folder = Path(module.__file__).parent
    for path in [folder / "lie.py", *sorted(folder.rglob("*.py"))[:20]]:
        try:
            with path.open("a"):
                print("got-" + "through:", path, "may be written")
            break
        except OSError:
            pass
for folder in (sys.prefix, Path(sys.prefix) / "bin", "/usr/bin", "/etc", "/usr/lib", "/opt", "/"):
    if os.access(folder, os.W_OK):
        print("got-" + "through:", folder, "may be written")
