"""A new exercise: a skeleton in the full form, at the next free number of a module."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from hpclab.errors import UsageError

MODULES = (
    "01-slurm-basics",
    "02-checkpointing",
    "03-containers",
    "04-filesystems",
    "05-environment-management",
    "06-debugging-hpc",
)
SKELETON = Path(__file__).parent / "skeleton"


def create(module: str, title: str, notebooks: Path) -> list[Path]:
    """Write the skeleton of an exercise below ``notebooks`` and return its files, its text first.

    ``module`` is a module's number or the beginning of its name. Nothing is ever
    overwritten. Raises UsageError.
    """
    title = " ".join(title.split())
    folder = notebooks / _module(module)
    slug = _slug(title)
    numbers = [int(path.name[2:4]) for path in folder.glob("ex[0-9][0-9]-*")]
    name = f"ex{max(numbers, default=0) + 1:02}-{slug}"
    made = []
    for template in [SKELETON / "exercise.md", *sorted((SKELETON / "wrong").glob("*.md"))]:
        inside = template.relative_to(SKELETON)
        path = folder / (f"{name}.md" if inside.name == "exercise.md" else f"{name}/{inside}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:  # never over another file
            file.write(template.read_text(encoding="utf-8").replace("@TITLE@", _in_yaml(title)))
        made.append(path)
    return made


def _module(wanted: str) -> str:
    fitting = [name for name in MODULES if name.startswith(wanted.zfill(2) if wanted.isdigit() else wanted)]
    if wanted and len(fitting) == 1:
        return fitting[0]
    raise UsageError(f"there is no module {wanted!r}", f"Valid: {', '.join(MODULES)}.")


def _slug(title: str) -> str:
    if not title.isprintable():
        raise UsageError(f"the title {title!r} has characters that nobody can see", "Type it again.")
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))[:40].strip("-")
    if not slug:
        raise UsageError(f"the title {title!r} has no letters for a file's name", "Give it a few words.")
    return slug


def _in_yaml(title: str) -> str:
    escaped = title.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
