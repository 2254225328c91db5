"""Run the learner's cells, or answer a question with them. Runs as the learner, in a sandbox.

``python -I -m hpclab.grading.execute.runner`` in the lab's folder, with a request on its stdin; ``protocol``
describes its input and output. A cell that raises does not end the run.
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
from json import dumps  # imported by name: a cell may change the json module
from typing import Any

from hpclab.evidence import functions
from hpclab.grading.execute.ipython import Shell, flush_c, make
from hpclab.grading.execute.outputs import Descriptors, Kept
from hpclab.grading.execute.protocol import FULL, LATE, REPLY_BYTES

Request = dict[str, Any]


class Channel:
    """The runner's output: a descriptor of its own, which children don't inherit."""

    def __init__(self, descriptor: int, nonce: str) -> None:
        self._descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 250)
        os.close(descriptor)
        self._nonce = nonce
        self._pid = os.getpid()

    def say(self, **line: object) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a forked child that continued past its cell must not write
        data = dumps({"nonce": self._nonce, **line}).encode() + b"\n"
        with contextlib.suppress(OSError):  # a cell closed everything; its files may still be correct
            while data:
                data = data[os.write(self._descriptor, data) :]


def run(request: Request, out: int, shell: Shell) -> int:
    """Handle ``request`` and write lines to the descriptor ``out``. Returns the exit status."""
    question = request.get("question")
    channel = Channel(out, (question or request)["nonce"])
    kept = Kept(request["output_bytes"])
    end = time.monotonic() + request["seconds"]
    with contextlib.suppress(OSError, ValueError):  # where a segmentation fault is reported
        faulthandler.enable(os.fdopen(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 251), "wb", 0))
    main = threading.main_thread().ident or 0
    caught = Descriptors(kept, end, lambda: signal.pthread_kill(main, signal.SIGINT))
    shell.kept, shell.drain = kept, caught.drain
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _own_streams()
    try:
        return _work(request, shell, channel, end)
    except KeyboardInterrupt:  # the time limit was reached between two cells
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
    except BaseException as problem:  # including errors of IPython itself after a cell has broken it
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
    """Attach Python's streams to the captured descriptors. Lone surrogates are written as escapes."""
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]


def _write_files() -> None:
    """Flush files that a cell wrote and did not close, as a kernel does at shutdown."""
    for thing in gc.get_objects():
        with contextlib.suppress(BaseException):
            if isinstance(thing, io.IOBase) and not thing.closed:
                thing.flush()


def main() -> None:
    requests = os.fdopen(os.dup(0), "rb")
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    shell = make()  # before the request: it may come later
    with requests:
        request = json.loads(requests.read())
    sys.path.insert(0, "")  # as in a notebook: modules may lie beside it
    errors = os.dup(2)
    try:
        os._exit(run(request, out, shell))
    except BaseException:
        os.write(errors, traceback.format_exc().encode(errors="replace"))
        os._exit(1)


if __name__ == "__main__":
    main()
