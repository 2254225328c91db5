import builtins
import sys

for name in list(sys.modules):
    if name not in ("sys", "builtins"):
        del sys.modules[name]
for name in ("open", "print", "len", "isinstance", "__import__", "getattr"):
    delattr(builtins, name)
