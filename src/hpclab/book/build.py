"""Run Jupyter Book on the staged sources, and publish what it made only when it is whole.

build/book/source   what Jupyter Book reads
build/book/work     its caches and its output, kept so that the next build is short
build/book/html     the published copy: always a whole build, the last one that succeeded
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
from hpclab.book import polish, stage
from hpclab.errors import BookError, DeadlineExceeded
from hpclab.files import write_whole

SECONDS = 900  # no build comes near it; it stops one that hangs
JUPYTER_BOOK = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
# Not for readers: maps for people who debug the theme's own JavaScript, and Sphinx's own note.
LEFT_OUT = shutil.ignore_patterns("*.map", ".buildinfo")
WHERE = re.compile(r"(\.ipynb):(\d+)(?=:)")


def html(root: Path) -> Path:
    """Where the published book of the build folder ``root`` lies."""
    return root / "html"


def build(tree: Mapping[str, bytes], root: Path) -> Path:
    """Build ``tree`` (see stage.sources) below ``root`` and return the published folder.

    Only what changed is built again. A warning is an error: BookError, and the published copy
    stays as it was.
    """
    if importlib.util.find_spec("jupyter_book") is None:
        raise BookError("Jupyter Book is not installed", "It is one of the developers' tools: make dev")
    _check_settings(tree[f"{stage.BOOKS}/{stage.CONFIG}"])
    with _alone(root):
        _forget_what_is_stale(root, stage.shape(tree))
        stage.lay(tree, root / "source")
        _jupyter_book(root)
        write_whole(_shape(root), stage.shape(tree).encode())
        _publish(root / "work/_build/html", html(root))
    return html(root)


def _check_settings(config: bytes) -> None:
    settings = msgspec.yaml.decode(config)
    hub = (settings.get("launch_buttons") or {}).get("jupyterhub_url")
    if hub and not (settings.get("repository") or {}).get("url"):
        raise BookError(
            "book/_config.yml names a JupyterHub and no repository that it could fetch notebooks from",
            'Set `repository: url:` to the repository that `hpclab labs release` fills, or jupyterhub_url to "".',
        )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Two builds in one folder would mix their pages."""
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(root / ".lock", "another build to end", seconds=0))
        except DeadlineExceeded:
            raise BookError(f"another build is at work in {root}", "Wait until it has ended.") from None
        yield


def _shape(root: Path) -> Path:
    return root / "work/shape"


def _forget_what_is_stale(root: Path, shape: str) -> None:
    """Begin afresh unless the last build was whole and all pages show the same of each other as then.

    The record is away as long as a build is at work, and stays away when that fails: Sphinx warns when it
    reads a page, and a page that it need not read again would pass the next time.
    """
    record = _shape(root)
    if not record.is_file() or record.read_text() != shape:
        shutil.rmtree(root / "work", ignore_errors=True)
    record.unlink(missing_ok=True)


def _jupyter_book(root: Path) -> None:
    book, work = root / "source" / stage.BOOKS, root / "work"
    argv = [sys.executable, "-P", "-c", JUPYTER_BOOK, "build", str(book), "--path-output", str(work)]
    done = shell.run(
        [*argv, "-W", "--keep-going", "-q"],
        step="building the book",
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
        text = strip_ansi("\n".join(said) or done.stderr.strip() or done.stdout.strip())
        raise BookError(
            f"Jupyter Book is not content with the pages:{shell.indented(_where_people_look(text, book))}",
            "Mend the pages named above; a warning counts as an error here.",
        )


def _where_people_look(text: str, book: Path) -> str:
    """Staged paths → the files that people edit. myst-nb counts a notebook's lines as 10000 a cell."""
    text = WHERE.sub(
        lambda found: f"{found[1]}, text line {int(found[2]) % 10000} of cell {int(found[2]) // 10000}", text
    )
    text = re.sub(re.escape(str(book)) + r"/(\d\d-[^/]+/ex\d\d-[^/]+)\.ipynb", r"notebooks/\1.md", text)
    return text.replace(str(book), "book")


def _publish(made: Path, target: Path) -> None:
    """Make ``target`` a copy of ``made``: copied aside, then put in its place."""
    aside, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    for left in (aside, old):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(made, aside, ignore=LEFT_OUT)
    for page in aside.rglob("*.html"):
        page.write_text(polish.polished(page.read_text(encoding="utf-8")), encoding="utf-8")
    if target.exists():
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)
