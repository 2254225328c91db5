"""The rules for accepted file names, and for files that are silently ignored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

DEEPEST = 12  # folders in a path
LONGEST_NAME = 200  # bytes: with a suffix added it still fits Linux's 255
LONGEST_PATH = 400
DRIVE = re.compile(r"[A-Za-z]:")
# Files that tools leave beside a notebook, and two of nbgrader that are not needed here.
IGNORED_FOLDERS = frozenset({".ipynb_checkpoints", ".git", "__pycache__", "__MACOSX", ".venv"})
IGNORED_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "timestamp.txt", "submission_secret.txt"})


def wrong_with(path: str) -> str:
    """Return why a relative ``path`` is not accepted; empty if it is."""
    parts = path.split("/")
    if "\0" in path:
        return "its name holds a NUL"
    if not path or any(part == "" for part in parts):
        return "its path is absolute" if path.startswith("/") else "its path has an empty part"
    if any(part in (".", "..") for part in parts):
        return "its path leaves the folder"
    if "\\" in path or DRIVE.match(path):
        return "its path is a Windows path"
    if len(parts) > DEEPEST:
        return f"it lies more than {DEEPEST} folders deep"
    return next((why for part in parts if (why := wrong_with_name(part))), "") or (
        f"its path is longer than {LONGEST_PATH} bytes" if len(path.encode()) > LONGEST_PATH else ""
    )


def wrong_with_name(name: str) -> str:
    """Return why a file of this name is not accepted; empty if it is."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if size > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} bytes"
    for letter in name:
        # Control characters and line ends break listings, format characters hide or reorder text.
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            return f"its name holds an invisible character ({ord(letter):#06x})"
    return ""


def ignored(path: str) -> bool:
    """Return whether ``path`` was left by a tool and is not part of the submission."""
    *folders, name = path.split("/")
    return name in IGNORED_FILES or name.startswith("._") or bool(IGNORED_FOLDERS & {*folders, name})


def twins(names: Iterable[str]) -> set[str]:
    """Return names that are equal on some systems: they differ in case or in the encoding of accents."""
    seen: dict[str, list[str]] = {}
    for name in names:
        seen.setdefault(unicodedata.normalize("NFC", name.casefold()), []).append(name)
    return {name for group in seen.values() if len(group) > 1 for name in group}
