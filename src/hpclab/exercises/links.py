"""Links and pictures of a Markdown text."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

HTML = re.compile(r"""<(img|a)\b[^>]*?\b(?:src|href)\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
# A link from one lab's source to another.
LAB = re.compile(r"(?:\.\./[0-9][0-9]-[\w-]+/)?ex[0-9][0-9]-[\w-]+\.md")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Reference:
    """A link or picture with its target as written."""

    target: str
    image: bool

    @property
    def local(self) -> bool:
        """Whether the target is a file, not a URL or a place in the same text."""
        try:
            parts = urlsplit(self.target)
        except ValueError:  # "http://[" is not a URL; as a file it will not be found
            return True
        return not parts.scheme and not parts.netloc and bool(parts.path)


def find_references(text: str) -> Iterator[Reference]:
    """Yield every link and picture of ``text``, which is Markdown without MyST; code is skipped."""
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
    """Replace the target ``old`` of links and pictures with ``new``."""
    return _replace_targets(text, re.escape(old), lambda _: new)


def link_notebooks(text: str) -> str:
    """Replace links between lab sources with links between notebooks, each of which has its own folder."""

    def notebook(lab: str) -> str:
        name = lab.rpartition("/")[2].removesuffix(".md")
        return f"../{lab.removesuffix('.md')}/{name}.ipynb"

    return _replace_targets(text, LAB.pattern, notebook)


def _replace_targets(text: str, target: str, new: Callable[[str], str]) -> str:
    """Replace each target of a link or picture that matches the pattern ``target`` with ``new(target)``."""
    inline = re.compile(rf"(\]\(\s*<?)({target})(?=[\s)>#])")
    attribute = re.compile(rf"""((?:src|href)\s*=\s*["'])({target})(?=["'#])""", re.IGNORECASE)
    named = re.compile(rf"^(\[[^\]]+\]:\s*<?)({target})(?=[\s>#]|$)", re.MULTILINE)
    for pattern in (inline, attribute, named):
        text = pattern.sub(lambda found: found[1] + new(found[2]), text)
    return text
