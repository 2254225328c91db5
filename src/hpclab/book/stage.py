"""Collect the source tree of the book, and write it to disk.

The tree has the folders ``book`` (the input of Jupyter Book) and ``templates``, as in the repository, so that a page
can include ``../templates/X`` in both places.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpclab import sites
from hpclab.book import labs, site_notes, toc
from hpclab.book.labs import DOWNLOADS, BookLab
from hpclab.errors import BookError
from hpclab.files import write_whole

CONFIG, TOC = "_config.yml", "_toc.yml"
PICTURE_SUFFIXES = (".svg", ".png", ".jpg")
NOTES_FOLDER = "sites"  # pages generated from site profiles: book/sites/NAME.md
TITLE = re.compile(rb'(?:^|")(# [^"\n]*)', re.MULTILINE)  # the first heading of a page or a notebook
GLOSSARY = re.compile(r"^:::\{glossary\}\n.*?^:::$", re.MULTILINE | re.DOTALL)
BOOK_FOLDER, TEMPLATES_FOLDER = "book", "templates"


def collect_sources(course: Path, built_labs: Sequence[BookLab]) -> dict[str, bytes]:
    """Return every file of the source tree by path: pages, labs, site notes, templates.

    Raises BookError if a page and a generated file have the same name.
    """
    pages = _read_files(course / "book", exclude=("_build",))
    for name in (CONFIG, TOC):
        if name not in pages:
            raise BookError(f"{course / 'book' / name} is missing", "Restore it: git checkout -- book")
    pages[TOC] = toc.insert_labs(pages[TOC], [lab.label for lab in built_labs])
    generated = {lab.file: labs.render_page(lab) for lab in built_labs} | {
        lab.download: lab.learner for lab in built_labs
    }
    for name, data in _read_files(course / "notebooks").items():
        if name.endswith(PICTURE_SUFFIXES) and name.count("/") == 1:  # pictures beside the labs
            generated[name] = data
    for name in sites.list_names(course / "sites"):
        generated[f"{NOTES_FOLDER}/{name}.md"] = site_notes.render_page(
            sites.load(name, course / "sites")
        ).encode()
    if both := sorted(pages.keys() & generated.keys()):
        raise BookError(
            f"a page and a generated file have the same name: book/{', book/'.join(both)}",
            "Rename the page in book/.",
        )
    toc.check_toc(pages[TOC], [name for name in pages | generated if _is_page(name)])
    for name, data in pages.items():
        if _is_page(name):
            pages[name] = _convert_glossary(data.decode()).encode()
    tree = {f"{BOOK_FOLDER}/{name}": data for name, data in (pages | generated).items()}
    return tree | {
        f"{TEMPLATES_FOLDER}/{name}": data for name, data in _read_files(course / "templates").items()
    }


def _is_page(name: str) -> bool:
    return name.endswith((".md", ".ipynb")) and not name.startswith(DOWNLOADS)


def _read_files(folder: Path, exclude: Sequence[str] = ()) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & set(exclude)
    }


def _convert_glossary(text: str) -> str:
    """Convert a glossary from a definition list, as in newer Jupyter Books, to Sphinx's indented definitions."""
    return GLOSSARY.sub(lambda match: re.sub(r"^: ", "  ", match[0], flags=re.MULTILINE), text)


def digest_shared_parts(tree: Mapping[str, bytes]) -> str:
    """Return a digest of the parts that all pages share: settings, table of contents, titles, static files.

    If it is unchanged, only changed pages need to be built again.
    """
    digest = hashlib.sha256()
    for name, data in sorted(tree.items()):
        whole = name.endswith((".yml", ".css", ".js", ".svg", ".html"))
        digest.update(f"{name}\n".encode())
        digest.update(data if whole else _find_title(name, data))
    return digest.hexdigest()


def _find_title(name: str, data: bytes) -> bytes:
    if not name.endswith((".md", ".ipynb")):
        return b""
    match = TITLE.search(data)
    return match[1] if match else b""


def write_tree(tree: Mapping[str, bytes], folder: Path) -> list[str]:
    """Write exactly ``tree`` into ``folder`` and return the changed paths. Equal files are not touched."""
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
