"""Check the built HTML: dead links and anchors, pictures without alt text, resources from other hosts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

# What a browser fetches when it shows the page.
FETCH_ATTRIBUTES = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "embed": "src",
}
FETCHED_RELATIONS = {"stylesheet", "icon", "shortcut", "preload", "modulepreload", "manifest", "prefetch"}
STYLE_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


@dataclass
class Page:
    """An HTML page; ``path`` is relative to the book's folder."""

    path: str
    folder: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)  # of <a> elements
    fetched: list[str] = field(default_factory=list)  # by the browser, to show the page
    without_alt: list[str] = field(default_factory=list)  # pictures without alt text


def read_pages(folder: Path) -> list[Page]:
    """Read every page of the built book."""
    pages = []
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        if name.startswith("_static/"):
            continue  # parts of the theme, not pages
        page = Page(name, folder)
        parser = _PageParser(page)
        parser.feed(path.read_text(encoding="utf-8"))
        pages.append(page)
    return pages


def find_faults(pages: Sequence[Page]) -> list[str]:
    """Return the faults of ``pages`` as lines ``PAGE: WHAT``."""
    ids = {page.path: page.ids for page in pages}
    lines = []
    for page in pages:
        lines += [f"{page.path}: {what}" for what in _find_dead_links(page, ids)]
        lines += [f"{page.path}: fetches {url}" for url in page.fetched if _is_external(url)]
        lines += [f"{page.path}: the picture {name} has no alt text" for name in page.without_alt]
    if pages:
        lines += _check_styles(pages[0].folder)
    return lines


def list_external(pages: Sequence[Page]) -> list[str]:
    """Return the external URLs that ``pages`` link to, sorted. They are not fetched."""
    return sorted({link for page in pages for link in page.links if _is_external(link)})


def _find_dead_links(page: Page, ids: dict[str, set[str]]) -> list[str]:
    dead = []
    for link in dict.fromkeys([*page.links, *page.fetched]):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = _target(page.path, unquote(parts.path))
        if not (page.folder / target).is_file():
            dead.append(f"{link} does not exist")
        elif parts.fragment and target in ids and unquote(parts.fragment) not in ids[target]:
            dead.append(f"{link}: {target} has no such anchor")
    return dead


def _target(page: str, path: str) -> str:
    """Resolve ``path`` on ``page``; the result is never outside the book."""
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


def _is_external(link: str) -> bool:
    return bool(urlsplit(link).netloc)


def _check_styles(folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)}: fetches {url}"
        for path in sorted(folder.rglob("*.css"))
        for url in STYLE_URL.findall(path.read_text(encoding="utf-8", errors="replace"))
    ]


class _PageParser(HTMLParser):
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
        if tag in FETCH_ATTRIBUTES and values.get(FETCH_ATTRIBUTES[tag]):
            self._add_fetched(values[FETCH_ATTRIBUTES[tag]])
        if tag == "link" and set(values.get("rel", "").split()) & FETCHED_RELATIONS:
            self._add_fetched(values.get("href", ""))
        if tag == "img":
            self._check_alt(values)
        for url in STYLE_URL.findall(values.get("style", "")):
            self._add_fetched(url)

    handle_startendtag = handle_starttag

    def _add_fetched(self, url: str) -> None:
        if url and not url.startswith("data:"):
            self.page.fetched.append(url)

    def _check_alt(self, values: dict[str, str]) -> None:
        """Record a picture without alt text. Empty means decorative; Sphinx uses the file name if there is none."""
        name = values.get("src", "")
        alt = values.get("alt")
        if alt is None or (alt and (alt == name or PurePosixPath(alt).suffix in (".png", ".svg", ".jpg"))):
            self.page.without_alt.append(name[:80])
