"""Open nbgrader's database of a course, for one writer at a time and for readers."""

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
SECONDS = 120.0  # to wait for another writer, or for an instructor who saves a mark in the formgrader


@contextmanager
def writing(folder: Path, course: str, *, seconds: float = SECONDS) -> Iterator[Any]:
    """Open the gradebook in ``folder`` for one transaction: all changes of the block are kept, or none.

    Other programs can read meanwhile; another writer waits. Raises DeadlineExceeded, GradingError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / LOCK, "another command to write the gradebook", seconds=seconds):
        _ensure(folder / NAME, course)
        with _opened(folder / NAME, course, seconds) as book:
            # From here on no other program can write, so what is read below stays valid until it is written.
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
    """Open the gradebook in ``folder`` for reading. Raises GradingError if there is none yet."""
    if not (folder / NAME).is_file():
        raise GradingError(
            f"there are no marks in {folder} yet: it has no {NAME}",
            "Release a lab first: hpclab release LAB. Then: hpclab collect, hpclab grade LAB",
        )
    with _opened(folder / NAME, course, SECONDS) as book:
        yield book


@contextmanager
def _opened(path: Path, course: str, seconds: float) -> Iterator[Any]:
    try:
        # How long SQLite waits for another program's lock; its default is 5 s.
        book = Gradebook(f"{_address(path)}?timeout={seconds:g}", course)
        try:
            yield book
        finally:
            book.close()
    except OperationalError as problem:
        raise _explain(path, problem) from None


def _explain(path: Path, problem: OperationalError) -> GradingError:
    message = str(problem.orig)
    if "locked" in message:
        return GradingError(f"{path}: {message}", f"See which program holds it: fuser -v {path}")
    if "no such" in message:  # a column or a table
        remedy = (
            f"Keep a copy of it, then: cd {path.parent} && {Path(sys.prefix) / 'bin/nbgrader'} db upgrade"
        )
        return GradingError(f"{path} was made by another version of nbgrader: {message}", remedy)
    return GradingError(f"{path}: {message}", "Check the disk, and that the folder is yours.")


def _address(path: Path) -> str:
    """Return SQLAlchemy's URL of a file; "?" would begin its options."""
    if "?" in str(path):
        raise GradingError(f"{path}: nbgrader cannot use a folder with a '?' in its name", "Rename it.")
    return f"sqlite:///{path.absolute()}"


def _ensure(path: Path, course: str) -> None:
    """Create an empty gradebook if there is none; it is linked into place when all of its tables exist."""
    if path.exists():
        return
    temporary = path.with_name(f".{NAME}.{secrets.token_hex(4)}.part")
    try:
        _create_tables(temporary)
        Gradebook(_address(temporary), course).close()
        temporary.chmod(0o600)
        os.link(temporary, path)
    except FileExistsError:
        pass  # the formgrader has just created one, which is equivalent
    finally:
        temporary.unlink(missing_ok=True)


def _create_tables(path: Path) -> None:
    """Create the tables as nbgrader does, but without its second Python process for alembic, which takes seconds."""
    engine = create_engine(_address(path))
    try:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
            head = ScriptDirectory(ALEMBIC_DIR).get_current_head()
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})
    finally:
        engine.dispose()
