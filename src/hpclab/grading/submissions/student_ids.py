"""Who a submission is from: which ids are good, and whom another system's id means.

An id becomes the name of files and folders and of a student in nbgrader's database, so the rule is
narrow: what every file system, shell and spreadsheet takes as it is.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from hpclab.errors import UsageError

# No "+": nbgrader 0.9.6 parts names of its exchange at it, and its `submit` refuses such a student.
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,99}")
RULE = "An id is 1 to 100 of A-Z a-z 0-9 . _ @ - and begins with a letter, a digit or _."
# Names that mean something else on some system that a teacher's files may come to.
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def check_id(text: str, *, what: str = "student") -> str:
    """``text`` if it can be the id of a student or the name of a lab. Raises UsageError that says why not."""
    why = wrong_with(text)
    if why:
        raise UsageError(f"{shown(text)} cannot name a {what}: {why}", RULE)
    return text


def wrong_with(text: str) -> str:
    """Why ``text`` cannot be an id; empty if it can."""
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
    """Ids that differ in case alone: one folder on some systems, two students on others."""
    seen: dict[str, str] = {}
    found = []
    for one in ids:
        other = seen.setdefault(one.casefold(), one)
        if other != one:
            found.append((other, one))
    return found


def near(text: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Known names that ``text`` may have meant, the nearest first."""
    by_key = {one.casefold(): one for one in known}
    return [by_key[key] for key in difflib.get_close_matches(plain(text), by_key, n=most, cutoff=0.6)]


def plain(text: str) -> str:
    """``text`` without case, accents and compatibility forms, for comparing what people typed."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def shown(text: str, most: int = 120) -> str:
    """A stranger's text in quotes, safe to print: what is not plain ASCII is escaped, long ones are cut."""
    cut = text if len(text) <= most else text[:most] + "…"
    return ascii(cut).replace("\\u2026", "…")
