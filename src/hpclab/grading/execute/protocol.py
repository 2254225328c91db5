"""The messages between the grading process and the runner in a sandbox. Pure.

The runner reads one request, a line of JSON on its stdin, and writes lines of JSON in this order::

    {"nonce": N, "begin": "cell-1"}
    {"nonce": N, "cell": "cell-1", "status": "ok", "outputs": [...], "seconds": 0.1}     or "error"
    …
    {"nonce": N, "done": true}

It answers a question with one line instead: {"nonce": N, "replies": [...]}.

``runner_log`` reads these lines. The nonce distinguishes them from text that a program wrote by accident to
a descriptor that it should not have had.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from hpclab.grading.execute.interface import Answer, Ended
from hpclab.sandbox.termination import Termination

# Exit statuses of the runner for a limit.
LATE, FULL = 84, 85
REPLY_BYTES = 1 << 20


def new_nonce() -> str:
    return secrets.token_hex(16)


def cells_request(cells: Sequence[dict[str, str]], *, nonce: str, seconds: float, output_bytes: int) -> bytes:
    """Return a request to run these cells and report each one."""
    return _line({"cells": list(cells), "nonce": nonce, "seconds": seconds, "output_bytes": output_bytes})


def question_request(cells: Sequence[dict[str, str]], question: object, *, seconds: float) -> bytes:
    """Return a request to run these cells silently, then answer ``question`` from ``hpclab.evidence.function``."""
    return _line({"cells": list(cells), "question": question, "seconds": seconds, "output_bytes": 0})


def answer_line(answer: Answer) -> bytes:
    """Return the reply to a test's question as one line.

    The learner's line is a string inside it, so it is never mistaken for a message of the grading process.
    """
    if answer.none or len(answer.line) > REPLY_BYTES + 1000:  # more than the runner sends
        return _line({"none": answer.none or Termination.OUTPUT})
    return _line({"line": answer.line.decode(errors="replace")})


def trouble_line(problem: str) -> bytes:
    """Return the reply when the question could not be asked because grading failed."""
    return _line({"trouble": problem})


def _line(request: object) -> bytes:
    return json.dumps(request).encode() + b"\n"


def ended(code: int, *, limit: Termination | None, seconds: float, errors: str) -> Ended:
    """Return how the runner ended. ``code`` is its exit status, or minus the signal that ended it.

    ``limit`` is the limit that the sandbox stopped it for; otherwise the runner's exit status may name one.
    """
    own = {LATE: Termination.TIMEOUT, FULL: Termination.OUTPUT, 0: Termination.DONE}
    return Ended(
        termination=limit or own.get(code, Termination.CRASH),
        status=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        seconds=seconds,
        errors=errors,
    )


def answer(lines: Sequence[bytes], ended: Ended) -> Answer:
    """Return the answer to a question to which the runner wrote ``lines``."""
    if len(lines) == 1 and not ended.termination.is_limit:
        return Answer(line=lines[0])
    return Answer(none=ended.termination if ended.termination.is_limit else Termination.CRASH)
