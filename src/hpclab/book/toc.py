"""The table of contents: written by hand for pages, filled in with the labs that are there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from hpclab.errors import BookError

MODULE_PAGE = "index"  # a module's page is book/MODULE/index.md


def with_labs(text: bytes, labs: Sequence[str]) -> bytes:
    """``_toc.yml`` with each lab (``MODULE/NAME``) below the page of its module.

    Raises BookError for a module that has labs and no page in the table.
    """
    toc: dict[str, Any] = msgspec.yaml.decode(text)
    left = list(labs)
    for entry in _entries(toc):
        module, _, page = str(entry.get("file", "")).rpartition("/")
        mine = [lab for lab in left if page == MODULE_PAGE and lab.rpartition("/")[0] == module]
        if mine:
            entry["sections"] = [{"file": lab} for lab in mine] + list(entry.get("sections", []))
            left = [lab for lab in left if lab not in mine]
    if left:
        module = left[0].rpartition("/")[0]
        raise BookError(
            f"book/_toc.yml has no page for the module of {', '.join(left)}",
            f"Write book/{module}/{MODULE_PAGE}.md and name it in book/_toc.yml as `- file: {module}/{MODULE_PAGE}`.",
        )
    return msgspec.yaml.encode(toc)


def check(text: bytes, pages: Collection[str]) -> None:
    """Raise BookError unless the table names each of ``pages`` (paths with endings) once, and nothing else."""
    toc: dict[str, Any] = msgspec.yaml.decode(text)
    named = [str(entry["file"]) for entry in _entries(toc) if "file" in entry]
    named.insert(0, str(toc.get("root")))
    there = {page.rpartition(".")[0] for page in pages}
    faults = [f"{name} stands there twice" for name in sorted(set(named)) if named.count(name) > 1]
    faults += [f"{name} has no page" for name in named if name not in there]
    faults += [f"{name} is missing there" for name in sorted(there - set(named))]
    if faults:
        raise BookError(f"book/_toc.yml: {', '.join(faults)}", "Name each page of book/ there once.")


def _entries(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key in ("parts", "chapters", "sections"):
        for child in node.get(key, []):
            found += [child, *_entries(child)]
    return found
