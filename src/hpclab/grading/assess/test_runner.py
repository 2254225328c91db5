"""Run a lab's tests on the evidence, as another user than the learner, after all the learner's processes have
ended.

Runs as ``python -I -m hpclab.grading.assess.test_runner`` in the lab's folder. The folder is untrusted:
nothing is
imported from it, and its files are only read as data. The request is a line of JSON on stdin::

    {"tests": [{"id": …, "source": …, "hidden": …}, …], "seconds": 30, "learner": "NAME", "jobs": true,
    "seed": 7}

The output has a line for each test: {"test": ID, "status": "passed", "failed" or "no_answer", …}, with the text
for the learner in "found", "expected" and "look" or in "said". The text of a hidden test is only in "private",
for the instructor. With "jobs" a last line has {"jobs": […], "log": "…"}. A test that calls a function of the
learner writes {"ask": …} and reads the reply as the next line of stdin.
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
from hpclab.evidence import functions, slurm_queries

HIDDEN_FAILED = "a hidden check of this task failed"
CHECK_FAILED = "a check of this task failed"
MAX_CHARACTERS = 4000
MAX_JOBS, MAX_NAME_CHARACTERS = 200, 100  # the newest jobs, for the timeline
LOG_LINES = 40

Send = Callable[[dict[str, Any]], None]
Receive = Callable[[], bytes]


class _TimeUp(BaseException):
    """The time limit of a test; a BaseException, so that the test's own ``except Exception`` does not catch it."""


class _BoundedOutput(io.StringIO):
    """Keeps the first MAX_CHARACTERS of a test's output."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, MAX_CHARACTERS - self.tell())])
        return len(text)


def run(request: dict[str, Any], send: Send, receive: Receive) -> None:
    """Run every test of ``request``; send a line for each with ``send``, and get replies to calls with ``receive``."""
    os.environ["HPCLAB_LEARNER"] = request["learner"]
    functions.route_questions(lambda question: _ask_client(question, send, receive))
    for test in request["tests"]:
        seed_random(f"{request.get('seed', '')} {test['id']}")
        send({"test": test["id"], **run_test(test, request["seconds"])})
    if request.get("jobs"):
        send(_collect_jobs(request["seconds"]))


def seed_random(seed: str) -> None:
    """Seed the random numbers, so that grading a submission again gives the same questions and marks."""
    import numpy  # here: the import is slow, and a test that imports numpy later would find it unseeded

    random.seed(seed)
    numpy.random.seed(zlib.crc32(seed.encode()))


def run_test(test: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Run a test and return its result; the text of a hidden test is only in "private"."""
    result = _execute(test["source"], f"<{test['id']}>", seconds)
    if test.get("hidden") and result["status"] == "failed":
        return {"status": "failed", "said": HIDDEN_FAILED, "private": result}
    if test.get("hidden") and result["status"] == "passed":
        return {"status": "passed"}
    return result


def _execute(source: str, name: str, seconds: float) -> dict[str, Any]:
    printed, began = _BoundedOutput(), time.process_time()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module  # each test has its own namespace
    try:
        with _time_limit(seconds), _capture_output(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for example Fallback; a warning must not change a mark
            exec(compile(source, name, "exec"), vars(module))
        return {"status": "passed", "said": _truncate(printed.getvalue())}
    except evidence.CheckFailed as failed:
        return {"status": "failed", **_check_parts(failed)}
    except AssertionError as failed:
        return {"status": "failed", "said": _truncate(str(failed)) or CHECK_FAILED}
    except HpclabError as problem:
        return {"status": "no_answer", "said": _truncate(str(problem))}
    except _TimeUp:
        if time.process_time() - began > seconds / 10:  # it used CPU time, so it was not waiting for Slurm
            return {"status": "failed", "said": "the files of this task take too long to check"}
        return {"status": "no_answer", "said": f"the check did not finish within {seconds:g} s"}
    except MemoryError:  # a check has enough memory for files of a normal size
        return {"status": "failed", "said": "the files of this task are too large to check"}
    except (Exception, SystemExit) as error:  # the author did not expect such files
        return {"status": "failed", "said": _truncate(f"{type(error).__name__}: {error}")}


@contextlib.contextmanager
def _capture_output(printed: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield


def _check_parts(failed: evidence.CheckFailed) -> dict[str, str]:
    """The parts of a failed check that have a text, each cut to MAX_CHARACTERS characters."""
    parts = {
        "found": _truncate(failed.found),
        "expected": _truncate(failed.expected),
        "look": _truncate(failed.look),
    }
    return {name: text for name, text in parts.items() if text} or {"said": CHECK_FAILED}


def _truncate(text: str) -> str:
    text = text.strip().encode(errors="replace").decode()
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _TimeUp in the block after ``seconds``."""

    def raise_time_up(_: int, __: FrameType | None) -> NoReturn:
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, raise_time_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _ask_client(question: dict[str, Any], send: Send, receive: Receive) -> Any:
    """Send a call of the learner's function to the client, and return the reply."""
    remaining_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)  # the learner's program has its own time limit
    send({"ask": question})
    line = receive()
    signal.setitimer(signal.ITIMER_REAL, remaining_s)
    return json.loads(line) if line.strip() else None


def _collect_jobs(seconds: float) -> dict[str, Any]:
    """The learner's jobs, and the end of the output of the last failed one; empty if Slurm does not answer."""
    jobs: list[evidence.Job] = []
    log = ""
    with contextlib.suppress(HpclabError, AssertionError, _TimeUp), _time_limit(seconds):
        jobs = evidence.jobs()
        failed = [job for job in jobs if job.ended and job.state not in ("COMPLETED", "CANCELLED")]
        for job in failed[-1:]:
            log = "\n".join(evidence.output(job).splitlines()[-LOG_LINES:])
    records = [
        {
            "id": job.id,
            "name": job.name[:MAX_NAME_CHARACTERS],
            "state": job.state,
            "submit": job.submit,
            "start": job.start,
            "end": job.end,
            "nodes": job.nodes,
            "exit_code": job.exit_code,
        }
        for job in jobs[-MAX_JOBS:]
    ]
    return {"jobs": records, "log": _truncate(log)}


def main() -> None:
    lines = os.fdopen(os.dup(0), "rb")
    out = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)  # so that a test cannot write into the protocol
    for descriptor in (0, 1):
        os.dup2(null, descriptor)

    def send(line: dict[str, Any]) -> None:
        out.write(json.dumps(line).encode() + b"\n")
        out.flush()

    slurm_queries.cache_answers()
    run(json.loads(lines.readline()), send, lines.readline)


if __name__ == "__main__":
    main()
