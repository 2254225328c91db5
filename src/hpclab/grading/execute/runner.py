"""Run the learner's cells, or answer a question with them. Runs as the learner, in a sandbox.

``python -I -m hpclab.grading.execute.runner`` in the lab's folder, with a request on its stdin; what it writes, and where
it has that from, is in ``protocol``. A cell that raises does not end the run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from json import dumps  # by its name here: a cell may put something else into json
from typing import Any

from hpclab.evidence import functions
from hpclab.grading.execute.ipython import Shell, flush_c, make
from hpclab.grading.execute.outputs import Descriptors, Kept
from hpclab.grading.execute.protocol import FULL, LATE, REPLY_BYTES

Request = dict[str, Any]


class Channel:
    """Where the runner's lines go: a descriptor of its own, which children do not inherit."""

    def __init__(self, descriptor: int, nonce: str) -> None:
        self._descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 250)
        os.close(descriptor)
        self._nonce = nonce
        self._pid = os.getpid()

    def say(self, **line: object) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a cell forked and let its child go on: one of us is enough
        data = dumps({"nonce": self._nonce, **line}).encode() + b"\n"
        with contextlib.suppress(OSError):  # a cell closed everything; its files may still be what they must
            while data:
                data = data[os.write(self._descriptor, data) :]


def run(request: Request, out: int, shell: Shell) -> int:
    """Do what ``request`` says; lines go to the descriptor ``out``. Returns the exit status."""
    question = request.get("question")
    channel = Channel(out, (question or request)["nonce"])
    kept = Kept(request["output_bytes"])
    end = time.monotonic() + request["seconds"]
    with contextlib.suppress(OSError, ValueError):  # where a segmentation fault tells of itself
        faulthandler.enable(os.fdopen(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 251), "wb", 0))
    main = threading.main_thread().ident or 0
    caught = Descriptors(kept, end, lambda: signal.pthread_kill(main, signal.SIGINT))
    shell.kept, shell.drain = kept, caught.drain
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _own_streams()
    try:
        return _work(request, shell, channel, end)
    except KeyboardInterrupt:  # the end of its time found it between two cells
        return LATE


def _work(request: Request, shell: Shell, channel: Channel, end: float) -> int:
    question = request.get("question")
    for cell in request["cells"]:
        if question is None:
            channel.say(begin=cell["id"])
        began = time.monotonic()
        status = _cell(shell, cell["source"])
        if question is None:
            seconds = round(time.monotonic() - began, 3)
            channel.say(cell=cell["id"], status=status, outputs=shell.kept.taken(), seconds=seconds)
        if time.monotonic() > end:
            return LATE
    if question is not None:
        channel.say(replies=_replies(question))
        return 0
    _write_files()
    channel.say(done=True)
    return FULL if shell.kept.over else 0


def _cell(shell: Shell, source: str) -> str:
    """Run one cell, whatever it raises."""
    try:
        good = bool(shell.run_cell(source, store_history=True).success)  # type: ignore[no-untyped-call]
    except BaseException as problem:  # also what comes out of IPython itself when a cell has broken it
        good = False
        with contextlib.suppress(BaseException):
            shell.kept.text("stderr", f"{type(problem).__name__}: {problem}\n".encode(errors="replace"))
    with contextlib.suppress(BaseException):
        flush_c()
        shell.flush_pending()
    return "ok" if good else "error"


def _replies(question: dict[str, Any]) -> list[dict[str, Any]]:
    replies = functions.answer_calls(question["function"], question["calls"])
    if len(dumps(replies)) > REPLY_BYTES:
        return [{"wrong": f"a reply of more than {REPLY_BYTES >> 20} MB"}]
    return replies


def _own_streams() -> None:
    """Python's streams on the descriptors that are caught. Halves of characters are written as their codes."""
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]


def _write_files() -> None:
    """Have in the files what a cell wrote and did not close; a kernel that is shut down does so, too."""
    for thing in gc.get_objects():
        with contextlib.suppress(BaseException):
            if isinstance(thing, io.IOBase) and not thing.closed:
                thing.flush()


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    shell = make()
    sys.path.insert(0, "")  # as in a notebook: modules may lie beside it
    errors = os.dup(2)
    try:
        os._exit(run(request, out, shell))
    except BaseException:
        os.write(errors, traceback.format_exc().encode(errors="replace"))
        os._exit(1)


if __name__ == "__main__":
    main()
