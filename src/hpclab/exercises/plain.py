"""MyST directives and roles → Markdown that any JupyterLab shows.

A learner's JupyterLab knows no MyST. Hints become ``<details>``, admonitions
become quotations with a bold title. Anything else is an error, so that no raw
directive ever reaches a learner.
"""

from __future__ import annotations

import html
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
OTHERS = ("dropdown", "image", "figure", "table", "math", "code-block", "code")
# A role, or a span of code, in which nothing is a role.
ROLE = re.compile(r"\{(\w[\w:-]*)\}`([^`]+)`|(`+)(?!`).*?(?<!`)\3(?!`)")
OPTION = re.compile(r"\s*:([\w-]+):\s*(.*)$")
# Lines that MyST gives a meaning and Markdown shows as they are: a label, a comment.
UNSEEN = re.compile(r"\([\w:.-]+\)=\s*$|%(\s|$)")
# A directive where ``fences`` finds none: in a quotation, behind a list's mark, set in too far.
HIDDEN = re.compile(r"\s*(?:(?:>|[-*+]|\d+[.)])\s*)*(?:`{3,}|~{3,}|:{3,})\{[\w-]+\}")
FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]")
SPAN = re.compile(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)|\*\*(.+?)\*\*|\*(.+?)\*")


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
    try:
        blocks = list(fences.outermost(lines))
    except fences.Unbalanced as lost:  # as where '+++' cuts a text in the middle of a block
        raise NotPlain(lost.line - 1, lost.what) from None
    for block in blocks:
        result += _prose(lines[done : block.start], done)
        done = block.end + 1
        result += _block(block, lines)
    return "\n".join(result + _prose(lines[done:], done))


def _block(block: fences.Block, lines: list[str]) -> list[str]:
    directive = block.directive
    if directive is None:
        if block.info.startswith("{"):
            raise NotPlain(block.start, f"{block.info} is no directive")
        return lines[block.start : block.end + 1]
    name, argument = directive
    opening = lines[block.start]
    indent = opening[: len(opening) - len(opening.lstrip())]  # of a list's item
    inner = [line.removeprefix(indent) for line in lines[block.start + 1 : block.end]]
    options: dict[str, str] = {}
    while inner and (found := OPTION.match(inner[0])):
        options[found[1]] = found[2].strip()
        del inner[0]
    shown = _shown(name, argument, options, inner, block)
    return [f"{indent}{line}".rstrip() if line else "" for line in shown]


def _shown(
    name: str, argument: str, options: dict[str, str], inner: list[str], block: fences.Block
) -> list[str]:
    """A directive's plain form. ``options`` steer the book's looks; only ``alt`` matters here."""
    first = block.end - len(inner)
    if name in ("code-block", "code"):
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", "\n".join(inner)))])
        return [f"{fence}{argument}", *inner, fence]
    if name == "math":
        return ["$$", *inner, "$$"]
    if name not in (*ADMONITIONS, *OTHERS):
        raise NotPlain(block.start, f"the directive {{{name}}} has no plain form")
    try:
        body = plain("\n".join(inner)).strip("\n").splitlines()
    except NotPlain as wrong:
        raise NotPlain(first + wrong.line, wrong.what) from None
    if name == "dropdown":
        return [
            "<details>",
            f"<summary>{_in_html(argument) or 'More'}</summary>",
            "",
            *body,
            "",
            "</details>",
        ]
    if name in ADMONITIONS:
        title = argument or ("See also" if name == "seealso" else name.capitalize())
        return [f"> **{title}**", ">", *(f"> {line}".rstrip() for line in body)]
    if name == "table":
        return [*([f"*{argument}*", ""] if argument else []), *body]
    caption = " ".join(line.strip() for line in body)
    alt = options.get("alt", caption)
    return [f"![{alt}]({argument})", *(["", f"*{caption}*"] if caption else [])]


def _in_html(text: str) -> str:
    """Inline Markdown as HTML: inside an HTML line nobody renders it."""

    def replaced(found: re.Match[str]) -> str:
        if found[2] is not None:
            return f"<code>{found[2]}</code>"
        return f"<strong>{found[3]}</strong>" if found[3] else f"<em>{found[4]}</em>"

    return SPAN.sub(replaced, html.escape(text, quote=False))


def _prose(lines: list[str], offset: int) -> list[str]:
    return [
        _without_roles(line, number) for number, line in enumerate(lines, offset) if not UNSEEN.match(line)
    ]


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

    if HIDDEN.match(line):
        raise NotPlain(number, "a directive that does not begin a line, with three spaces before it at most")
    if FOOTNOTE.search(ROLE.sub("", line)):
        raise NotPlain(number, "a footnote, which JupyterLab does not show")
    return ROLE.sub(replaced, line)
