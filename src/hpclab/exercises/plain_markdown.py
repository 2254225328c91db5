"""Convert MyST directives and roles into Markdown that any JupyterLab shows.

JupyterLab does not support MyST. Hints become ``<details>``, admonitions become quotations with a bold title.
Anything else is an error, so that learners never see a raw directive.
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
OTHER_DIRECTIVES = ("dropdown", "image", "figure", "table", "math", "code-block", "code")
# A role, or inline code, in which there are no roles.
ROLE = re.compile(r"\{(\w[\w:-]*)\}`([^`]+)`|(`+)(?!`).*?(?<!`)\3(?!`)")
OPTION = re.compile(r"\s*:([\w-]+):\s*(.*)$")
# Lines with a meaning in MyST only: a label, a comment.
MYST_ONLY = re.compile(r"\([\w:.-]+\)=\s*$|%(\s|$)")
# A directive that ``fences`` does not find: in a quotation, after a list marker, indented too far.
MISPLACED_DIRECTIVE = re.compile(r"\s*(?:(?:>|[-*+]|\d+[.)])\s*)*(?:`{3,}|~{3,}|:{3,})\{[\w-]+\}")
FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]")
SPAN = re.compile(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)|\*\*(.+?)\*\*|\*(.+?)\*")


class UnsupportedMarkup(ValueError):
    """A directive or role without a plain form. ``line`` counts from 0 within the text."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def to_plain_markdown(text: str) -> str:
    """Convert ``text`` into Markdown without MyST directives and roles. Raises UnsupportedMarkup."""
    lines = text.splitlines()
    result: list[str] = []
    done = 0
    try:
        blocks = list(fences.find_blocks(lines))
    except fences.UnbalancedFence as problem:  # for example where '+++' splits a block
        raise UnsupportedMarkup(problem.line - 1, problem.what) from None
    for block in blocks:
        result += _convert_prose(lines[done : block.start], done)
        done = block.end + 1
        result += _convert_block(block, lines)
    return "\n".join(result + _convert_prose(lines[done:], done))


def _convert_block(block: fences.Block, lines: list[str]) -> list[str]:
    directive = block.directive
    if directive is None:
        if block.info.startswith("{"):
            raise UnsupportedMarkup(block.start, f"{block.info} is not a directive")
        return lines[block.start : block.end + 1]
    name, argument = directive
    opening = lines[block.start]
    indent = opening[: len(opening) - len(opening.lstrip())]  # of a list item
    inner = [line.removeprefix(indent) for line in lines[block.start + 1 : block.end]]
    options: dict[str, str] = {}
    while inner and (match := OPTION.match(inner[0])):
        options[match[1]] = match[2].strip()
        del inner[0]
    rendered = _render_directive(name, argument, options, inner, block)
    return [f"{indent}{line}".rstrip() if line else "" for line in rendered]


def _render_directive(
    name: str, argument: str, options: dict[str, str], inner: list[str], block: fences.Block
) -> list[str]:
    """The plain form of a directive. Of its ``options`` only ``alt`` matters; the others format the book."""
    first = block.end - len(inner)
    if name in ("code-block", "code"):
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", "\n".join(inner)))])
        return [f"{fence}{argument}", *inner, fence]
    if name == "math":
        return ["$$", *inner, "$$"]
    if name not in (*ADMONITIONS, *OTHER_DIRECTIVES):
        raise UnsupportedMarkup(block.start, f"the directive {{{name}}} has no plain form")
    try:
        body = to_plain_markdown("\n".join(inner)).strip("\n").splitlines()
    except UnsupportedMarkup as problem:
        raise UnsupportedMarkup(first + problem.line, problem.what) from None
    if name == "dropdown":
        return [
            "<details>",
            f"<summary>{_inline_html(argument) or 'More'}</summary>",
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


def _inline_html(text: str) -> str:
    """Convert inline Markdown into HTML, because JupyterLab does not render Markdown inside an HTML line."""

    def replace(found: re.Match[str]) -> str:
        if found[2] is not None:
            return f"<code>{found[2]}</code>"
        return f"<strong>{found[3]}</strong>" if found[3] else f"<em>{found[4]}</em>"

    return SPAN.sub(replace, html.escape(text, quote=False))


def _convert_prose(lines: list[str], offset: int) -> list[str]:
    return [
        _convert_roles(line, number) for number, line in enumerate(lines, offset) if not MYST_ONLY.match(line)
    ]


def _convert_roles(line: str, number: int) -> str:
    def replace(found: re.Match[str]) -> str:
        role, text = found[1], found[2]
        if role is None:
            return found[0]
        if role == "math":
            return f"${text}$"
        if role == "kbd":
            return f"<kbd>{text}</kbd>"
        if role == "term":
            return f"*{re.sub(r' *<.*>$', '', text)}*"
        raise UnsupportedMarkup(number, f"the role {{{role}}} has no plain form")

    if MISPLACED_DIRECTIVE.match(line):
        raise UnsupportedMarkup(
            number, "a directive that is not at the beginning of a line (at most three spaces may precede it)"
        )
    if FOOTNOTE.search(ROLE.sub("", line)):
        raise UnsupportedMarkup(number, "a footnote, which JupyterLab does not show")
    return ROLE.sub(replace, line)
