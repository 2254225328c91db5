"""Fenced blocks of a MyST text: where each begins and ends, and whether all are closed.

Markdown itself never complains about fences: a forgotten one silently swallows
the rest of the page, or the next cell. An author must hear of it instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# A line that can open or close a block: its indent, its fence and the rest.
FENCE = re.compile(r"( {0,3})(`{3,}|~{3,}|:{3,})(.*)$")
DIRECTIVE = re.compile(r"\{([\w-]+)\}\s*(.*)$")


class Unbalanced(ValueError):
    """A fence is not closed, or closes nothing. ``line`` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True)
class Block:
    """One outermost fenced block; ``start`` and ``end`` index its fence lines, from 0."""

    start: int
    end: int
    info: str

    @property
    def directive(self) -> tuple[str, str] | None:
        """Name and argument of a MyST directive, or None for plain code."""
        found = DIRECTIVE.match(self.info)
        return (found[1], found[2].strip()) if found else None


def outermost(lines: Sequence[str]) -> Iterator[Block]:
    """The outermost blocks of a text, in order. Raises Unbalanced."""
    opened: list[tuple[int, str, str]] = []  # index, fence, info
    for index, line in enumerate(lines):
        found = FENCE.match(line)
        if not found:
            continue
        fence, info = found[2], found[3].strip()
        if opened:
            start, outer, outer_info = opened[-1]
            closes = fence[0] == outer[0] and len(fence) >= len(outer) and not info
            if closes:
                opened.pop()
                if not opened:
                    yield Block(start, index, outer_info)
                continue
            if outer[0] != ":":  # inside code nothing is a fence, but a directive tells of a lost one
                if fence == outer and info.startswith("{"):
                    raise Unbalanced(start + 1, f"{outer}{outer_info} is not closed before line {index + 1}")
                continue
        if not info and fence[0] == ":":
            raise Unbalanced(index + 1, f"{fence} closes nothing")
        if fence[0] == "`" and "`" in info:
            continue  # inline code, not a fence
        opened.append((index, fence, info))
    if opened:
        start, outer, outer_info = opened[-1]
        raise Unbalanced(start + 1, f"{outer}{outer_info} is never closed")
