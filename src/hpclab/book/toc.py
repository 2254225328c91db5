"""The table of contents: pages are listed by hand, labs are inserted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from hpclab.errors import BookError

MODULE_PAGE = "index"  # a module's page is book/MODULE/index.md


def insert_labs(text: bytes, labs: Sequence[str]) -> bytes:
    """Insert each lab (``MODULE/NAME``) into ``_toc.yml`` below the page of its module.

    Raises BookError if a module with labs has no page in the table.
    """
    toc: dict[str, Any] = msgspec.yaml.decode(text)
    remaining = list(labs)
    for entry in _entries(toc):
        module, _, page = str(entry.get("file", "")).rpartition("/")
        module_labs = [lab for lab in remaining if page == MODULE_PAGE and lab.rpartition("/")[0] == module]
        if module_labs:
            entry["sections"] = [{"file": lab} for lab in module_labs] + list(entry.get("sections", []))
            remaining = [lab for lab in remaining if lab not in module_labs]
    if remaining:
        module = remaining[0].rpartition("/")[0]
        raise BookError(
            f"book/_toc.yml has no page for the module of the labs {', '.join(remaining)}",
            f"Write book/{module}/{MODULE_PAGE}.md and list it in book/_toc.yml as `- file: {module}/{MODULE_PAGE}`.",
        )
    return msgspec.yaml.encode(toc)


def check_toc(text: bytes, pages: Collection[str]) -> None:
    """Raise BookError unless the table lists each of ``pages`` (paths with suffix) once, and nothing else."""
    toc: dict[str, Any] = msgspec.yaml.decode(text)
    listed = [str(entry["file"]) for entry in _entries(toc) if "file" in entry]
    listed.insert(0, str(toc.get("root")))
    existing = {page.rpartition(".")[0] for page in pages}
    faults = [f"{name} is listed twice" for name in sorted(set(listed)) if listed.count(name) > 1]
    faults += [f"{name} is listed but does not exist" for name in listed if name not in existing]
    faults += [f"{name} is not listed" for name in sorted(existing - set(listed))]
    if faults:
        raise BookError(f"book/_toc.yml: {', '.join(faults)}", "List each page of book/ there once.")


def _entries(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for key in ("parts", "chapters", "sections"):
        for child in node.get(key, []):
            entries += [child, *_entries(child)]
    return entries
