"""Run a command; wait for a condition, with a deadline."""

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
    """Run ``argv`` without a shell and return its exit status and output.

    ``step`` names the work in error messages, ``timeout`` is in seconds. Raises CommandFailed (exit status not zero,
    unless ``check`` is false; or program missing) and DeadlineExceeded.
    """
    arguments = [os.fspath(argument) for argument in argv]
    prefix = f"{step}: " if step else ""
    try:
        result = subprocess.run(
            arguments,
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
        missing = isinstance(problem, FileNotFoundError) and problem.filename == arguments[0]
        reason = f"{problem.filename or arguments[0]}: {problem.strerror}"
        text = f"the program {arguments[0]!r} is not installed" if missing else reason
        raise CommandFailed(f"{prefix}{text}", remedy) from None
    except subprocess.TimeoutExpired as late:
        output = late.stderr or late.stdout or b""
        text = output.decode(errors="replace") if isinstance(output, bytes) else output
        raise DeadlineExceeded(
            f"{prefix}not finished after {timeout:g} s: {shlex.join(arguments)}{indented(text)}", remedy
        ) from None
    if check and result.returncode != 0:
        raise CommandFailed(
            f"{prefix}exit status {result.returncode} from: {shlex.join(arguments)}"
            f"{indented(result.stderr.strip() or result.stdout.strip())}",
            remedy,
        )
    return result


def wait_until(
    probe: Callable[[], T | None],
    what: str,
    *,
    seconds: float,
    every: float = 0.05,
    log: Path | None = None,
    remedy: str = "",
) -> T:
    """Call ``probe`` until its result is true, and return it.

    ``seconds`` is the deadline, ``every`` the pause between calls in seconds, ``log`` a file whose end is added to the
    error. Raises DeadlineExceeded.
    """
    end = time.monotonic() + seconds
    while True:
        if result := probe():
            return result
        if time.monotonic() >= end:
            raise DeadlineExceeded(
                f"waited {seconds:g} s for {what}{indented(tail(log)) if log else ''}", remedy
            )
        time.sleep(every)


def tail(path: Path, lines: int = 15) -> str:
    """Return the last ``lines`` lines of a log with its path, or the reason why it cannot be read."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 400 * lines))  # a log may be larger than memory
            text = log.read().decode(errors="replace")
    except OSError as problem:
        return f"({path}: {problem.strerror})"
    return f"the end of {path}:\n" + "\n".join(text.splitlines()[-lines:])


def indented(text: str, limit: int = 4000) -> str:
    """Return the last ``limit`` characters of ``text``, indented by four spaces, after a line break."""
    if not text:
        return ""
    return "\n" + "\n".join("    " + line for line in text[-limit:].splitlines())
