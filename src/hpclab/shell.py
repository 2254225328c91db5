"""Run a command; wait for something, with a deadline."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from hpclab.errors import CommandFailed, DeadlineExceeded

T = TypeVar("T")


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    step: str = "",
    remedy: str = "",
    timeout: float = 120.0,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` quietly and return its output; a failure shows all of it.

    ``step`` names the work in words for the error, ``timeout`` is in seconds.
    Raises CommandFailed (status not zero, or program missing) and DeadlineExceeded.
    """
    words = [os.fspath(word) for word in argv]
    doing = f"{step}: " if step else ""
    try:
        done = subprocess.run(  # the caller's argv, never a shell string
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            check=False,
        )
    except OSError as problem:
        missing = isinstance(problem, FileNotFoundError) and problem.filename == words[0]
        what = f"{problem.filename or words[0]}: {problem.strerror}"
        why = f"the program {words[0]!r} is not installed" if missing else what
        raise CommandFailed(f"{doing}{why}", remedy) from None
    except subprocess.TimeoutExpired as late:
        shown = late.stderr or late.stdout or b""
        text = shown.decode(errors="replace") if isinstance(shown, bytes) else shown
        raise DeadlineExceeded(
            f"{doing}no end after {timeout:g} s: {shlex.join(words)}{indented(text)}", remedy
        ) from None
    if check and done.returncode != 0:
        raise CommandFailed(
            f"{doing}exit status {done.returncode} from: {shlex.join(words)}"
            f"{indented(done.stderr.strip() or done.stdout.strip())}",
            remedy,
        )
    return done


def wait_until(
    probe: Callable[[], T | None],
    what: str,
    *,
    seconds: float,
    every: float = 0.05,
    log: Path | None = None,
    remedy: str = "",
) -> T:
    """Call ``probe`` until it returns something true, and return that.

    ``seconds`` is the deadline, ``every`` the pause between calls, ``log`` the
    file whose end explains a failure. Raises DeadlineExceeded.
    """
    end = time.monotonic() + seconds
    while True:
        if found := probe():
            return found
        if time.monotonic() >= end:
            raise DeadlineExceeded(
                f"waited {seconds:g} s for {what}{indented(tail(log)) if log else ''}", remedy
            )
        time.sleep(every)


def tail(path: Path, lines: int = 15) -> str:
    """The last ``lines`` lines of a log, with its name; a missing log says so."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 400 * lines))  # a log may be larger than memory
            text = log.read().decode(errors="replace")
    except OSError as problem:
        return f"({path}: {problem.strerror})"
    return f"the end of {path}:\n" + "\n".join(text.splitlines()[-lines:])


def indented(text: str, limit: int = 4000) -> str:
    """``text`` on lines of its own, set in by four spaces; only its end if it is long."""
    if not text:
        return ""
    return "\n" + "\n".join("    " + line for line in text[-limit:].splitlines())
