"""What the source tree of the book holds, and how it is laid down.

The tree has the folder ``book`` (what Jupyter Book reads) and beside it ``templates``, as the
repository has, so that a page may include ``../templates/X`` in both places.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpclab import sites
from hpclab.book import labs, notes, toc
from hpclab.book.labs import DOWNLOADS, Lab
from hpclab.errors import BookError
from hpclab.files import write_whole

CONFIG, TOC = "_config.yml", "_toc.yml"
PICTURES = (".svg", ".png", ".jpg")
NOTES = "sites"  # pages made from profiles: book/sites/NAME.md
TITLE = re.compile(rb'(?:^|")(# [^"\n]*)', re.MULTILINE)  # the first heading of a page or a notebook
GLOSSARY = re.compile(r"^:::\{glossary\}\n.*?^:::$", re.MULTILINE | re.DOTALL)
BOOKS, TEMPLATES = "book", "templates"


def sources(course: Path, made: Sequence[Lab]) -> dict[str, bytes]:
    """Every file of the source tree, by its path below it: pages, labs, notes on sites, templates.

    Raises BookError where a page and something made would have one name.
    """
    pages = _files(course / "book", leave=("_build",))
    for name in (CONFIG, TOC):
        if name not in pages:
            raise BookError(f"{course / 'book' / name} is missing", "Restore it: git checkout -- book")
    pages[TOC] = toc.with_labs(pages[TOC], [lab.label for lab in made])
    generated = {lab.file: labs.page(lab) for lab in made} | {lab.download: lab.learner for lab in made}
    for name, data in _files(course / "notebooks").items():
        if name.endswith(PICTURES) and name.count("/") == 1:  # beside the lab that shows it
            generated[name] = data
    for name in sites.names(course / "sites"):
        generated[f"{NOTES}/{name}.md"] = notes.page(sites.load(name, course / "sites")).encode()
    if both := sorted(pages.keys() & generated.keys()):
        raise BookError(f"written and generated: book/{', book/'.join(both)}", "Rename the page in book/.")
    toc.check(pages[TOC], [name for name in pages | generated if _is_page(name)])
    for name, data in pages.items():
        if _is_page(name):
            pages[name] = _as_sphinx_reads_it(data.decode()).encode()
    tree = {f"{BOOKS}/{name}": data for name, data in (pages | generated).items()}
    return tree | {f"{TEMPLATES}/{name}": data for name, data in _files(course / "templates").items()}


def _is_page(name: str) -> bool:
    return name.endswith((".md", ".ipynb")) and not name.startswith(DOWNLOADS)


def _files(folder: Path, leave: Sequence[str] = ()) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & set(leave)
    }


def _as_sphinx_reads_it(text: str) -> str:
    """A glossary is written as a definition list, as newer Jupyter Books want it; Sphinx wants definitions set in."""
    return GLOSSARY.sub(lambda found: re.sub(r"^: ", "  ", found[0], flags=re.MULTILINE), text)


def shape(tree: Mapping[str, bytes]) -> str:
    """A digest of what every page shows of the others: settings, table of contents, titles, static files.

    While it stays the same, only pages that changed need building again.
    """
    digest = hashlib.sha256()
    for name, data in sorted(tree.items()):
        whole = name.endswith((".yml", ".css", ".js", ".svg", ".html"))
        digest.update(f"{name}\n".encode())
        digest.update(data if whole else _title(name, data))
    return digest.hexdigest()


def _title(name: str, data: bytes) -> bytes:
    if not name.endswith((".md", ".ipynb")):
        return b""
    found = TITLE.search(data)
    return found[1] if found else b""


def lay(tree: Mapping[str, bytes], folder: Path) -> list[str]:
    """Make ``folder`` hold exactly ``tree``; the paths that were written. Files that are equal stay untouched."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in tree:
            path.unlink()
    written = []
    for name, data in tree.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            write_whole(path, data)
            written.append(name)
    return written
