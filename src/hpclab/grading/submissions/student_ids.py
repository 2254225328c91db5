"""The rule for students' ids, and similar ids for messages.

An id becomes the name of files and folders and of a student in nbgrader's database, so the rule is
narrow: characters that every file system, shell and spreadsheet accepts unchanged.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from hpclab.errors import UsageError

# No "+": nbgrader 0.9.6 splits the names in its exchange at it, and its `submit` refuses such a student.
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,99}")
RULE = "An id is 1 to 100 of A-Z a-z 0-9 . _ @ - and begins with a letter, a digit or _."
# Names that Windows reserves for devices.
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def check_id(text: str, *, what: str = "student") -> str:
    """Return ``text`` if it can be the id of a student or the name of a lab. Raises UsageError that says why not."""
    why = wrong_with(text)
    if why:
        raise UsageError(f"{shown(text)} cannot name a {what}: {why}", RULE)
    return text


def wrong_with(text: str) -> str:
    """Return why ``text`` cannot be an id; empty if it can."""
    if ID.fullmatch(text):
        if text.endswith("."):
            return "it ends with a dot, which some file systems drop"
        return "some systems keep this name for a device" if RESERVED.fullmatch(text) else ""
    if not text:
        return "it is empty"
    if len(text) > 100:
        return f"it is {len(text)} characters long"
    if text[0] in ".-@":
        return f"it begins with {text[0]!r}"
    bad = next(letter for letter in text if not re.fullmatch(r"[A-Za-z0-9._@-]", letter))
    name = unicodedata.name(bad, f"character {ord(bad):#x}").lower()
    same = unicodedata.normalize("NFKC", bad)
    if same != bad and ID.fullmatch(same):
        return f"it holds {shown(bad)} ({name}), which only looks like {same!r}"
    return f"it holds {shown(bad)} ({name})"


def twins(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of ids that differ only in case, which are the same folder on some systems."""
    seen: dict[str, str] = {}
    pairs = []
    for id in ids:
        first = seen.setdefault(id.casefold(), id)
        if first != id:
            pairs.append((first, id))
    return pairs


def near(text: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return known names similar to ``text``, the most similar first."""
    by_key = {name.casefold(): name for name in known}
    return [by_key[key] for key in difflib.get_close_matches(plain(text), by_key, n=most, cutoff=0.6)]


def plain(text: str) -> str:
    """Return ``text`` without case, accents and compatibility forms, for comparisons."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def shown(text: str, most: int = 120) -> str:
    """Return untrusted text in quotes, safe to print: all but plain ASCII is escaped, and long text is cut."""
    cut = text if len(text) <= most else text[:most] + "…"
    return ascii(cut).replace("\\u2026", "…")
