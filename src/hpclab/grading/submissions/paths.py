"""Which names of files are taken, and which are left without a word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

DEEPEST = 12  # folders in a path
LONGEST_NAME = 200  # bytes: with a suffix of ours it still fits the 255 of Linux
LONGEST_PATH = 400
DRIVE = re.compile(r"[A-Za-z]:")
# What tools leave beside a notebook; nbgrader's own two files say a time and a secret that nobody needs here.
IGNORED_FOLDERS = frozenset({".ipynb_checkpoints", ".git", "__pycache__", "__MACOSX", ".venv"})
IGNORED_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "timestamp.txt", "submission_secret.txt"})


def wrong_with(path: str) -> str:
    """Why a relative ``path`` is not taken; empty if it is."""
    parts = path.split("/")
    if "\0" in path:
        return "its name holds a NUL"
    if not path or any(part == "" for part in parts):
        return "its path is absolute" if path.startswith("/") else "its path has an empty part"
    if any(part in (".", "..") for part in parts):
        return "its path leads elsewhere"
    if "\\" in path or DRIVE.match(path):
        return "its path is one of Windows"
    if len(parts) > DEEPEST:
        return f"it lies more than {DEEPEST} folders deep"
    return next((why for part in parts if (why := wrong_with_name(part))), "") or (
        f"its path is longer than {LONGEST_PATH} bytes" if len(path.encode()) > LONGEST_PATH else ""
    )


def wrong_with_name(name: str) -> str:
    """Why no file of this name is taken."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if size > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} bytes"
    for letter in name:
        # Controls and line ends break listings, formats turn text around or hide it, the others mean nothing.
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            return f"its name holds an invisible character ({ord(letter):#06x})"
    return ""


def ignored(path: str) -> bool:
    """Whether ``path`` is something that a tool left and nobody handed in."""
    *folders, name = path.split("/")
    return name in IGNORED_FILES or name.startswith("._") or bool(IGNORED_FOLDERS & {*folders, name})


def twins(names: Iterable[str]) -> set[str]:
    """Names that are one and the same on some systems: by case, or by how accents are written."""
    seen: dict[str, list[str]] = {}
    for name in names:
        seen.setdefault(unicodedata.normalize("NFC", name.casefold()), []).append(name)
    return {name for group in seen.values() if len(group) > 1 for name in group}
