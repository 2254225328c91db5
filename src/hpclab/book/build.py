"""Run Jupyter Book on the staged sources, and publish its output only if the build succeeds.

build/book/source   the input of Jupyter Book
build/book/work     its caches and output, which make the next build fast
build/book/html     the published copy of the last successful build
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from hpclab import locks, shell
from hpclab.ansi import strip_ansi
from hpclab.book import accessibility, stage
from hpclab.errors import BookError, DeadlineExceeded
from hpclab.files import write_whole

BUILD_TIMEOUT_S = 900  # much longer than a build takes; stops one that hangs
JUPYTER_BOOK = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
# Not published: source maps of the theme's JavaScript, and Sphinx's build record.
UNPUBLISHED = shutil.ignore_patterns("*.map", ".buildinfo")
CELL_LINE = re.compile(r"(\.ipynb):(\d+)(?=:)")


def html_folder(root: Path) -> Path:
    """Return the folder of the published book in the build folder ``root``."""
    return root / "html"


def build(tree: Mapping[str, bytes], root: Path) -> Path:
    """Build ``tree`` (see stage.collect_sources) below ``root`` and return the published folder.

    Only changed pages are built again. A warning counts as an error: it raises BookError, and the published copy
    stays unchanged.
    """
    if importlib.util.find_spec("jupyter_book") is None:
        raise BookError("Jupyter Book is not installed", "Install the developers' tools: make dev")
    _check_settings(tree[f"{stage.BOOK_FOLDER}/{stage.CONFIG}"])
    with _lock_build(root):
        _discard_stale_work(root, stage.digest_shared_parts(tree))
        stage.write_tree(tree, root / "source")
        _jupyter_book(root)
        write_whole(_digest_file(root), stage.digest_shared_parts(tree).encode())
        _publish(root / "work/_build/html", html_folder(root))
    return html_folder(root)


def _check_settings(config: bytes) -> None:
    settings = msgspec.yaml.decode(config)
    hub = (settings.get("launch_buttons") or {}).get("jupyterhub_url")
    if hub and not (settings.get("repository") or {}).get("url"):
        raise BookError(
            "book/_config.yml has a jupyterhub_url, but no repository to fetch notebooks from",
            'Set `repository: url:` to the repository with the output of `hpclab labs release`, or jupyterhub_url to "".',
        )


@contextmanager
def _lock_build(root: Path) -> Iterator[None]:
    """Hold the lock of the build folder, because two builds in one folder would mix their pages."""
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(root / ".lock", "another build to end", seconds=0))
        except DeadlineExceeded:
            raise BookError(f"another build is running in {root}", "Wait until it has finished.") from None
        yield


def _digest_file(root: Path) -> Path:
    return root / "work/shape"


def _discard_stale_work(root: Path, shape: str) -> None:
    """Delete the work folder unless the last build succeeded with the same shared parts.

    The record does not exist while a build runs or after it fails: Sphinx warns only when it reads a page, so a
    page that it need not read again would pass the next time.
    """
    record = _digest_file(root)
    if not record.is_file() or record.read_text() != shape:
        shutil.rmtree(root / "work", ignore_errors=True)
    record.unlink(missing_ok=True)


def _jupyter_book(root: Path) -> None:
    book, work = root / "source" / stage.BOOK_FOLDER, root / "work"
    argv = [sys.executable, "-P", "-c", JUPYTER_BOOK, "build", str(book), "--path-output", str(work)]
    result = shell.run(
        [*argv, "-W", "--keep-going", "-q"],
        step="building the book",
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
        text = strip_ansi("\n".join(lines) or result.stderr.strip() or result.stdout.strip())
        raise BookError(
            f"Jupyter Book reported problems:{shell.indented(_name_source_files(text, book))}",
            "Fix the pages named above. A warning counts as an error.",
        )


def _name_source_files(text: str, book: Path) -> str:
    """Replace staged paths with the source files. myst-nb counts line numbers as 10000 for each cell."""
    text = CELL_LINE.sub(
        lambda match: f"{match[1]}, text line {int(match[2]) % 10000} of cell {int(match[2]) // 10000}", text
    )
    text = re.sub(re.escape(str(book)) + r"/(\d\d-[^/]+/ex\d\d-[^/]+)\.ipynb", r"notebooks/\1.md", text)
    return text.replace(str(book), "book")


def _publish(output: Path, target: Path) -> None:
    """Replace ``target`` with a copy of ``output``, which is complete before the replacement."""
    new, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(output, new, ignore=UNPUBLISHED)
    for page in new.rglob("*.html"):
        page.write_text(accessibility.fix_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
