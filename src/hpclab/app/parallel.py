"""Work done in parallel, and cancelled in an orderly way by a signal or an error."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from hpclab.errors import HpclabError

T = TypeVar("T")
R = TypeVar("R")
Pause = Callable[[float], None]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(HpclabError):
    """A signal ended the run; everything that it had started is taken down."""

    exit_code = 130


class Cancelled(Exception):
    """The run is being cancelled; raised in the threads that wait."""


class Cancellation:
    """Whether everything is to end, shared by all threads of a run.

    As a context it handles SIGINT, SIGTERM and SIGHUP. Only the first signal counts: a second
    Ctrl-C must not interrupt the cleaning up.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._polled = False

    def __enter__(self) -> Cancellation:
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if not self._event.is_set():
            self._event.set()
            if not self._polled:
                raise KeyboardInterrupt

    @contextmanager
    def polling(self) -> Iterator[None]:
        """Within this context the caller polls ``check``, and a signal raises no KeyboardInterrupt."""
        self._polled = True
        try:
            yield
        finally:
            self._polled = False

    def check(self) -> None:
        """Raise Interrupted once everything is to end."""
        if self._event.is_set():
            raise Interrupted(
                "stopped by a signal: its jobs are cancelled, its clusters taken down",
                "Run the same command again to continue: finished runs are kept.",
            )

    def cancel(self) -> None:
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises Cancelled as soon as everything is to end."""
        if self._event.wait(seconds):
            raise Cancelled


def do_nothing() -> None:
    """The ``clean_up`` of work that starts nothing."""


def run_parallel(
    items: Sequence[T],
    work: Callable[[T], R],
    max_parallel: int,
    finished: Callable[[T, R], None],
    cancellation: Cancellation,
    clean_up: Callable[[], None] = do_nothing,
) -> None:
    """Do ``work`` on every item, ``max_parallel`` at a time, and call ``finished`` here, one by one.

    ``work`` waits with ``cancellation.pause``, which raises once a signal or an error ends the run.
    Then ``clean_up`` is called, and the end of all work awaited. Raises Interrupted after a
    signal, and whatever ``work`` raises.
    """

    def begin(item: T) -> R:
        cancellation.pause(0)  # start nothing once everything is to end
        return work(item)

    with ThreadPoolExecutor(max_parallel, "lab") as pool, cancellation.polling():
        item_of = {pool.submit(begin, item): item for item in items}
        pending = set(item_of)
        try:
            while pending:
                # Python runs a signal's handler only when this thread wakes up.
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    if not isinstance(future.exception(), Cancelled):
                        finished(item_of[future], future.result())
                cancellation.check()
        except BaseException:
            cancellation.cancel()
            for future in item_of:
                future.cancel()
            clean_up()
            raise
