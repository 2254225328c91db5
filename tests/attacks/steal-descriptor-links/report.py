import os

os.symlink("/proc/self/fd/0", "report.json")
