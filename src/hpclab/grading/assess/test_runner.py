"""Run the tests on the evidence. Runs as somebody else than the learner, when all of the learner's is stopped.

``python -I -m hpclab.grading.assess.test_runner`` in the lab's folder, which belongs to a stranger: nothing is imported
from there, and what lies there is read as data only. On stdin a line of JSON::

    {"tests": [{"id": …, "source": …, "hidden": …}, …], "seconds": 30, "learner": "NAME", "jobs": true, "seed": 7}

For each test a line comes out: {"test": ID, "status": "passed", "failed" or "no_answer", …}. What a
test found is in "found", "expected", "look" for the learner, and of a hidden one in "private" for the
instructor. With "jobs" a last line has {"jobs": […], "log": "…"}. A test that asks a function of the
learner's writes {"ask": …} and reads the reply as the next line of stdin.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import sys
import time
import types
import warnings
import zlib
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from hpclab import evidence
from hpclab.errors import HpclabError
from hpclab.evidence import asking, functions

HIDDEN = "a hidden check of this task failed"
UNNAMED = "a check of this task failed"
MOST_TEXT = 4000
MOST_JOBS, MOST_NAME = 200, 100  # in the timeline, the newest
LOG_LINES = 40

Say = Callable[[dict[str, Any]], None]
Hear = Callable[[], bytes]


class _Late(BaseException):
    """A test's time is over; no ``except Exception`` of the test's stops this."""


class _Printed(io.StringIO):
    """What a test prints, the beginning of it."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, MOST_TEXT - self.tell())])
        return len(text)


def run(request: dict[str, Any], say: Say, hear: Hear) -> None:
    """Run every test of ``request``; each line goes to ``say``, replies to questions come from ``hear``."""
    os.environ["HPCLAB_LEARNER"] = request["learner"]
    functions.through(lambda question: _reply(question, say, hear))
    for test in request["tests"]:
        seeded(f"{request.get('seed', '')} {test['id']}")
        say({"test": test["id"], **judged(test, request["seconds"])})
    if request.get("jobs"):
        say(_jobs(request["seconds"]))


def seeded(words: str) -> None:
    """Begin random numbers with ``words``: whoever is marked twice gets the same questions, and the same mark."""
    import numpy  # here, since it takes long, and a test that imports it later would find it unseeded

    random.seed(words)
    numpy.random.seed(zlib.crc32(words.encode()))


def judged(test: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What one test says, as far as it may be told; of a hidden one "private" has the rest."""
    said = _outcome(test["source"], f"<{test['id']}>", seconds)
    if test.get("hidden") and said["status"] == "failed":
        return {"status": "failed", "said": HIDDEN, "private": said}
    if test.get("hidden") and said["status"] == "passed":
        return {"status": "passed"}
    return said


def _outcome(source: str, name: str, seconds: float) -> dict[str, Any]:
    printed, began = _Printed(), time.process_time()
    space = types.ModuleType("__main__")
    sys.modules["__main__"] = space  # a test sees no other test's names
    try:
        with _within(seconds), _heard(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as Fallback; no warning decides a mark
            exec(compile(source, name, "exec"), vars(space))
        return {"status": "passed", "said": _cut(printed.getvalue())}
    except evidence.CheckFailed as failed:
        return {"status": "failed", **_parts(failed)}
    except AssertionError as failed:
        return {"status": "failed", "said": _cut(str(failed)) or UNNAMED}
    except HpclabError as problem:
        return {"status": "no_answer", "said": _cut(str(problem))}
    except _Late:
        if time.process_time() - began > seconds / 10:  # it computed; a test that waits for Slurm does not
            return {"status": "failed", "said": "what this task left takes too long to be looked at"}
        return {"status": "no_answer", "said": f"the check did not come to an end in {seconds:g} s"}
    except MemoryError:  # the author's check runs in what it has: it is what lies there that is too much
        return {"status": "failed", "said": "what this task left is too large to be looked at"}
    except (Exception, SystemExit) as wrong:  # a test that did not foresee what is there
        return {"status": "failed", "said": _cut(f"{type(wrong).__name__}: {wrong}")}


@contextlib.contextmanager
def _heard(printed: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield


def _parts(failed: evidence.CheckFailed) -> dict[str, str]:
    """The parts of a failed check that have a text, each cut to MOST_TEXT characters."""
    parts = {"found": _cut(failed.found), "expected": _cut(failed.expected), "look": _cut(failed.look)}
    return {name: text for name, text in parts.items() if text} or {"said": UNNAMED}


def _cut(text: str) -> str:
    text = text.strip().encode(errors="replace").decode()
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise _Late in here when ``seconds`` are over."""

    def late(_: int, __: FrameType | None) -> NoReturn:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reply(question: dict[str, Any], say: Say, hear: Hear) -> Any:
    """Put a question to the keeper; its answer."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)  # the learner's program has a time of its own
    say({"ask": question})
    line = hear()
    signal.setitimer(signal.ITIMER_REAL, left)
    return json.loads(line) if line.strip() else None


def _jobs(seconds: float) -> dict[str, Any]:
    """The learner's jobs, and the end of what the last one that failed has printed; nothing where nobody knows."""
    found: list[evidence.Job] = []
    log = ""
    with contextlib.suppress(HpclabError, AssertionError, _Late), _within(seconds):
        found = evidence.jobs()
        failed = [job for job in found if job.ended and job.state not in ("COMPLETED", "CANCELLED")]
        for job in failed[-1:]:
            log = "\n".join(evidence.output(job).splitlines()[-LOG_LINES:])
    seen = [
        {
            "id": job.id,
            "name": job.name[:MOST_NAME],
            "state": job.state,
            "submit": job.submit,
            "start": job.start,
            "end": job.end,
            "nodes": job.nodes,
            "exit_code": job.exit_code,
        }
        for job in found[-MOST_JOBS:]
    ]
    return {"jobs": seen, "log": _cut(log)}


def main() -> None:
    lines = os.fdopen(os.dup(0), "rb")
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)

    def say(line: dict[str, Any]) -> None:
        out.write(json.dumps(line).encode() + b"\n")
        out.flush()

    asking.all_is_over()
    run(json.loads(lines.readline()), say, lines.readline)


if __name__ == "__main__":
    main()
