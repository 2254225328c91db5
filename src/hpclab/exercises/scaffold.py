"""Create the skeleton of a new lab with all required parts, at the next free number of a module."""

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


def create_exercise(module: str, title: str, notebooks: Path) -> list[Path]:
    """Write the skeleton of a lab below ``notebooks`` and return its files, the lab's source first.

    ``module`` is a module's number or the beginning of its name. No file is overwritten. Raises UsageError.
    """
    title = " ".join(title.split())
    folder = notebooks / _find_module(module)
    slug = _slugify(title)
    numbers = [int(path.name[2:4]) for path in folder.glob("ex[0-9][0-9]-*")]
    name = f"ex{max(numbers, default=0) + 1:02}-{slug}"
    written = []
    for template in [SKELETON / "exercise.md", *sorted((SKELETON / "wrong").glob("*.md"))]:
        relative = template.relative_to(SKELETON)
        path = folder / (f"{name}.md" if relative.name == "exercise.md" else f"{name}/{relative}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:  # "x": fail if the file exists
            file.write(template.read_text(encoding="utf-8").replace("@TITLE@", _quote_yaml(title)))
        written.append(path)
    return written


def _find_module(wanted: str) -> str:
    matches = [name for name in MODULES if name.startswith(wanted.zfill(2) if wanted.isdigit() else wanted)]
    if wanted and len(matches) == 1:
        return matches[0]
    raise UsageError(f"there is no module {wanted!r}", f"Valid: {', '.join(MODULES)}.")


def _slugify(title: str) -> str:
    if not title.isprintable():
        raise UsageError(f"the title {title!r} has invisible characters", "Type the title again.")
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))[:40].strip("-")
    if not slug:
        raise UsageError(
            f"the title {title!r} has no ASCII letters or digits for a file name", "Use a few words."
        )
    return slug


def _quote_yaml(title: str) -> str:
    escaped = title.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
