"""Links and pictures of a Markdown text."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

HTML = re.compile(r"""<(img|a)\b[^>]*?\b(?:src|href)\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
# Another exercise, as one exercise's text points at it.
LAB = re.compile(r"(?:\.\./[0-9][0-9]-[\w-]+/)?ex[0-9][0-9]-[\w-]+\.md")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Reference:
    """One link or picture, and what it points at, as the text says it."""

    target: str
    image: bool

    @property
    def local(self) -> bool:
        """Whether it points at a file, not at an address or a place in the same text."""
        try:
            parts = urlsplit(self.target)
        except ValueError:  # "http://[": no address, so it counts as a file, and none is found
            return True
        return not parts.scheme and not parts.netloc and bool(parts.path)


def references(text: str) -> Iterator[Reference]:
    """Every link and picture of ``text``, which is Markdown without MyST; code does not count."""
    for block in _MARKDOWN.parse(text):
        for token in (block, *(block.children or ())):
            if token.type == "image":
                yield Reference(unquote(str(token.attrGet("src"))), True)
            elif token.type == "link_open":
                yield Reference(unquote(str(token.attrGet("href"))), False)
            elif token.type in ("html_inline", "html_block"):
                for tag, target in HTML.findall(token.content):
                    yield Reference(unquote(html.unescape(target)), tag.lower() == "img")


def retarget(text: str, old: str, new: str) -> str:
    """``text`` with every link or picture that points at ``old`` pointing at ``new``."""
    return _pointed(text, re.escape(old), lambda _: new)


def to_notebooks(text: str) -> str:
    """``text`` with links between authors' files as links between notebooks, each in a folder of its own."""

    def notebook(lab: str) -> str:
        name = lab.rpartition("/")[2].removesuffix(".md")
        return f"../{lab.removesuffix('.md')}/{name}.ipynb"

    return _pointed(text, LAB.pattern, notebook)


def _pointed(text: str, target: str, new: Callable[[str], str]) -> str:
    """``text`` with what ``new`` makes of each ``target`` (a pattern) of a link or picture."""
    inline = re.compile(rf"(\]\(\s*<?)({target})(?=[\s)>#])")
    attribute = re.compile(rf"""((?:src|href)\s*=\s*["'])({target})(?=["'#])""", re.IGNORECASE)
    named = re.compile(rf"^(\[[^\]]+\]:\s*<?)({target})(?=[\s>#]|$)", re.MULTILINE)
    for pattern in (inline, attribute, named):
        text = pattern.sub(lambda found: found[1] + new(found[2]), text)
    return text
