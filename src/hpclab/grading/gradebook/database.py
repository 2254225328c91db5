"""nbgrader's database of a class, opened: for one writer at a time, and for readers."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from nbgrader.api import Base, Gradebook  # type: ignore[import-untyped,unused-ignore]
from nbgrader.dbutil import ALEMBIC_DIR  # type: ignore[import-untyped,unused-ignore]
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from hpclab import locks
from hpclab.errors import GradingError

NAME = "gradebook.db"
LOCK = ".gradebook.lock"
SECONDS = 120.0  # for another writer, or for somebody who saves a mark in the formgrader


@contextmanager
def writing(folder: Path, course: str, *, seconds: float = SECONDS) -> Iterator[Any]:
    """The gradebook in ``folder`` for one transaction: all of the block is kept, or nothing.

    Others may read meanwhile; another writer waits. Raises DeadlineExceeded, GradingError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / LOCK, "another command to write the gradebook", seconds=seconds):
        _ensure(folder / NAME, course)
        with _opened(folder / NAME, course, seconds) as book:
            # From here on nobody else writes, so what is read below cannot change before it is written.
            book.db.execute(text("BEGIN IMMEDIATE"))
            try:
                with book.db.no_autoflush:
                    yield book
                book.db.commit()
            except BaseException:
                book.db.rollback()
                raise


@contextmanager
def reading(folder: Path, course: str) -> Iterator[Any]:
    """The gradebook in ``folder``, to look at. Raises GradingError where there is none yet."""
    if not (folder / NAME).is_file():
        raise GradingError(
            f"there are no marks in {folder} yet: it has no {NAME}",
            "Hand out a lab first: hpclab release LAB. Then: hpclab collect, hpclab grade LAB",
        )
    with _opened(folder / NAME, course, SECONDS) as book:
        yield book


@contextmanager
def _opened(path: Path, course: str, seconds: float) -> Iterator[Any]:
    try:
        # How long SQLite waits for somebody else's lock; without a word it gives up after 5 s.
        book = Gradebook(f"{_address(path)}?timeout={seconds:g}", course)
        try:
            yield book
        finally:
            book.close()
    except OperationalError as problem:
        raise _explained(path, problem) from None


def _explained(path: Path, problem: OperationalError) -> GradingError:
    said = str(problem.orig)
    if "locked" in said:
        return GradingError(f"{path}: {said}", f"See which program holds it: fuser -v {path}")
    if "no such" in said:  # a column or a table
        cure = f"Keep a copy of it, then: cd {path.parent} && {Path(sys.prefix) / 'bin/nbgrader'} db upgrade"
        return GradingError(f"{path} was made by another version of nbgrader: {said}", cure)
    return GradingError(f"{path}: {said}", "Check the disk, and that the folder is yours.")


def _address(path: Path) -> str:
    """SQLAlchemy's address of a file; "?" would begin its options."""
    if "?" in str(path):
        raise GradingError(f"{path}: nbgrader cannot use a folder with a '?' in its name", "Rename it.")
    return f"sqlite:///{path.absolute()}"


def _ensure(path: Path, course: str) -> None:
    """Make an empty gradebook, aside and then linked into its place: nobody ever sees half of its tables."""
    if path.exists():
        return
    aside = path.with_name(f".{NAME}.{secrets.token_hex(4)}.part")
    try:
        _tables(aside)
        Gradebook(_address(aside), course).close()
        aside.chmod(0o600)
        os.link(aside, path)
    except FileExistsError:
        pass  # somebody opened the formgrader in this moment: that one is as good
    finally:
        aside.unlink(missing_ok=True)


def _tables(path: Path) -> None:
    """As nbgrader makes them: it asks a second Python, for seconds, which version of its tables these are."""
    engine = create_engine(_address(path))
    try:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
            head = ScriptDirectory(ALEMBIC_DIR).get_current_head()
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})
    finally:
        engine.dispose()
