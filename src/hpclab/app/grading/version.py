"""Who marks: a name for the grader, quick to make, since every task of a job array compares it."""

from __future__ import annotations

import hashlib

from hpclab import __version__, layout

# What decides a mark, besides the lab: from these a grader's name is made.
DECIDES = (
    *("grading", "evidence", "slurm", "sandbox", "cluster", "app/grading"),
    *("shell.py", "files.py"),
)


def grader() -> str:
    """A name for what marks: this package's version, and the text of the parts that decide."""
    package = layout.clone_folder() / "src" / "hpclab"
    found = hashlib.sha256()
    for part in DECIDES:
        top = package / part
        for path in [top] if top.is_file() else sorted(top.rglob("*.py")):
            data = path.read_bytes()
            found.update(f"{path.relative_to(package)} {len(data)}\n".encode() + data)
    return f"{__version__}+{found.hexdigest()[:12]}"
