"""Links and pictures of a Markdown text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
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
        parts = urlsplit(self.target)
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
    inline = re.compile(rf"(\]\(\s*<?){re.escape(old)}(?=[\s)>#])")
    attribute = re.compile(rf"""((?:src|href)\s*=\s*["']){re.escape(old)}(?=["'#])""", re.IGNORECASE)
    named = re.compile(rf"^(\[[^\]]+\]:\s*<?){re.escape(old)}(?=[\s>#]|$)", re.MULTILINE)
    for pattern in (inline, attribute, named):
        text = pattern.sub(lambda found: found[1] + new, text)
    return text


def to_notebooks(text: str) -> str:
    """``text`` with links between authors' files as links between notebooks."""
    return re.sub(
        rf"(\]\()({LAB.pattern})(?=[)#])",
        lambda found: found[1] + found[2].removesuffix(".md") + ".ipynb",
        text,
    )
