"""What the HTML itself tells: links and anchors that lead nowhere, pictures without words, things from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself when it shows the page.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "embed": "src"}
FETCHED_LINKS = {"stylesheet", "icon", "shortcut", "preload", "modulepreload", "manifest", "prefetch"}
IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


@dataclass
class Page:
    """One HTML file, by its path below the book's folder."""

    path: str
    folder: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)  # where a reader may go
    fetched: list[str] = field(default_factory=list)  # what the browser fetches by itself
    unnamed: list[str] = field(default_factory=list)  # pictures without words


def read(folder: Path) -> list[Page]:
    """Every page of the built book."""
    pages = []
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        if name.startswith("_static/"):
            continue  # pieces of the theme, not pages
        page = Page(name, folder)
        reader = _Reader(page)
        reader.feed(path.read_text(encoding="utf-8"))
        pages.append(page)
    return pages


def faults(pages: Sequence[Page]) -> list[str]:
    """What is wrong, one line each, as ``PAGE: WHAT``."""
    ids = {page.path: page.ids for page in pages}
    found = []
    for page in pages:
        found += [f"{page.path}: {what}" for what in _dead(page, ids)]
        found += [f"{page.path}: fetches {url}" for url in page.fetched if _elsewhere(url)]
        found += [f"{page.path}: the picture {name} has no words" for name in page.unnamed]
    if pages:
        found += _styles(pages[0].folder)
    return found


def external(pages: Sequence[Page]) -> list[str]:
    """The addresses elsewhere that a reader may go to, sorted. Nobody fetches them here."""
    return sorted({link for page in pages for link in page.links if _elsewhere(link)})


def _dead(page: Page, ids: dict[str, set[str]]) -> list[str]:
    found = []
    for link in dict.fromkeys([*page.links, *page.fetched]):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = _target(page.path, unquote(parts.path))
        if not (page.folder / target).is_file():
            found.append(f"{link} leads nowhere")
        elif parts.fragment and target in ids and unquote(parts.fragment) not in ids[target]:
            found.append(f"{link}: {target} has no such place")
    return found


def _target(page: str, path: str) -> str:
    """The file that ``path`` means on ``page``; ``..`` cannot lead out of the book."""
    if not path:
        return page
    steps: list[str] = []
    for step in (PurePosixPath(page).parent / path).parts:
        if step == "..":
            if not steps:
                return "(outside the book)"
            steps.pop()
        else:
            steps.append(step)
    name = "/".join(steps)
    return f"{name}/index.html".lstrip("/") if path.endswith("/") or not name else name


def _elsewhere(link: str) -> bool:
    return bool(urlsplit(link).netloc)


def _styles(folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)}: fetches {url}"
        for path in sorted(folder.rglob("*.css"))
        for url in IN_STYLES.findall(path.read_text(encoding="utf-8", errors="replace"))
    ]


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        for key in ("id", "name"):
            if key in values:
                self.page.ids.add(values[key])
        if tag in ("a", "area") and values.get("href"):
            self.page.links.append(values["href"])
        if tag in FETCHED and values.get(FETCHED[tag]):
            self._fetches(values[FETCHED[tag]])
        if tag == "link" and set(values.get("rel", "").split()) & FETCHED_LINKS:
            self._fetches(values.get("href", ""))
        if tag == "img":
            self._look_at_words(values)
        for url in IN_STYLES.findall(values.get("style", "")):
            self._fetches(url)

    handle_startendtag = handle_starttag

    def _fetches(self, url: str) -> None:
        if url and not url.startswith("data:"):
            self.page.fetched.append(url)

    def _look_at_words(self, values: dict[str, str]) -> None:
        """An empty text marks a decoration. Sphinx gives a picture without text the name of its file."""
        name = values.get("src", "")
        words = values.get("alt")
        if words is None or (
            words and (words == name or PurePosixPath(words).suffix in (".png", ".svg", ".jpg"))
        ):
            self.page.unnamed.append(name[:80])
