"""MyST directives and roles → Markdown that any JupyterLab shows.

A learner's JupyterLab knows no MyST. Hints become ``<details>``, admonitions
become quotations with a bold title. Anything else is an error, so that no raw
directive ever reaches a learner.
"""

from __future__ import annotations

import re

from hpclab.exercises import fences

ADMONITIONS = (
    "note",
    "tip",
    "hint",
    "important",
    "warning",
    "caution",
    "danger",
    "attention",
    "error",
    "seealso",
    "admonition",
)
# A role, or a span of code, in which nothing is a role.
ROLE = re.compile(r"\{(\w[\w-]*)\}`([^`]+)`|(`+)(?!`).*?(?<!`)\3(?!`)")
OPTION = re.compile(r":[\w-]+:")


class NotPlain(ValueError):
    """A directive or role that has no plain form. ``line`` counts from 0 within the text."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def plain(text: str) -> str:
    """``text`` without MyST directives and roles. Raises NotPlain."""
    lines = text.splitlines()
    result: list[str] = []
    done = 0
    for block in fences.outermost(lines):
        result += _roles(lines[done : block.start], done)
        done = block.end + 1
        result += _block(block, lines)
    return "\n".join(result + _roles(lines[done:], done))


def _block(block: fences.Block, lines: list[str]) -> list[str]:
    directive = block.directive
    if directive is None:
        return lines[block.start : block.end + 1]
    name, argument = directive
    first = block.start + 1
    while first < block.end and OPTION.match(lines[first]):
        first += 1  # options steer the book's looks only
    try:
        body = plain("\n".join(lines[first : block.end])).strip("\n").splitlines()
    except NotPlain as inner:
        raise NotPlain(first + inner.line, inner.what) from None
    if name == "dropdown":
        summary = f"<summary>{argument or 'More'}</summary>"
        return ["<details>", summary, "", *body, "", "</details>"]
    if name in ADMONITIONS:
        title = argument or ("See also" if name == "seealso" else name.capitalize())
        return [f"> **{title}**", ">", *(f"> {line}".rstrip() for line in body)]
    if name in ("image", "figure"):
        caption = " ".join(line.strip() for line in body)
        return [f"![{caption}]({argument})", *(["", f"*{caption}*"] if caption else [])]
    raise NotPlain(block.start, f"the directive {{{name}}} has no plain form")


def _roles(lines: list[str], offset: int) -> list[str]:
    return [_without_roles(line, number) for number, line in enumerate(lines, offset)]


def _without_roles(line: str, number: int) -> str:
    def replaced(found: re.Match[str]) -> str:
        role, text = found[1], found[2]
        if role is None:
            return found[0]
        if role == "math":
            return f"${text}$"
        if role == "kbd":
            return f"<kbd>{text}</kbd>"
        if role == "term":
            return f"*{re.sub(r' *<.*>$', '', text)}*"
        raise NotPlain(number, f"the role {{{role}}} has no plain form")

    return ROLE.sub(replaced, line)
