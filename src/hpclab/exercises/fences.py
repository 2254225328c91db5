"""Find the fenced blocks of a MyST text and report fences that are not closed.

Markdown itself accepts an open fence, which then silently includes the rest of the page or the next cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# A line that can open or close a block: its indent, its fence and the rest.
FENCE = re.compile(r"( {0,3})(`{3,}|~{3,}|:{3,})(.*)$")
DIRECTIVE = re.compile(r"\{([\w-]+)\}\s*(.*)$")


class UnbalancedFence(ValueError):
    """A fence is not closed, or closes nothing. ``line`` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True)
class Block:
    """An outermost fenced block; ``start`` and ``end`` are the indices of its fence lines, from 0."""

    start: int
    end: int
    info: str

    @property
    def directive(self) -> tuple[str, str] | None:
        """Name and argument of a MyST directive; None for a code block."""
        match = DIRECTIVE.match(self.info)
        return (match[1], match[2].strip()) if match else None


def find_blocks(lines: Sequence[str]) -> Iterator[Block]:
    """Yield the outermost blocks of a text in order. Raises UnbalancedFence."""
    opened: list[tuple[int, str, str]] = []  # index, fence, info
    for index, line in enumerate(lines):
        match = FENCE.match(line)
        if not match:
            continue
        fence, info = match[2], match[3].strip()
        if opened:
            start, outer, outer_info = opened[-1]
            closes = fence[0] == outer[0] and len(fence) >= len(outer) and not info
            if closes:
                opened.pop()
                if not opened:
                    yield Block(start, index, outer_info)
                continue
            if (
                outer[0] != ":"
            ):  # code has no fences inside, but a directive there means that a fence is missing
                if fence == outer and info.startswith("{"):
                    raise UnbalancedFence(
                        start + 1, f"{outer}{outer_info} is not closed before line {index + 1}"
                    )
                continue
        if not info and fence[0] == ":":
            raise UnbalancedFence(index + 1, f"{fence} closes nothing")
        if fence[0] == "`" and "`" in info:
            continue  # inline code, not a fence
        opened.append((index, fence, info))
    if opened:
        start, outer, outer_info = opened[-1]
        raise UnbalancedFence(start + 1, f"{outer}{outer_info} is never closed")
