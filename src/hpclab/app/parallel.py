"""Work that is done side by side, and stopped in good order."""

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
    """A signal ended the run; what it had started is taken down."""

    exit_code = 130


class Stopped(Exception):
    """The run is being stopped; what waits gives up."""


class Stop:
    """Whether all has to end, as many threads see it.

    As a context it lets SIGINT, SIGTERM and SIGHUP do so. Only the first signal counts: a second
    Ctrl-C must not leave half of it.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._looked_at = False

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        if not self._event.is_set():
            self._event.set()
            if not self._looked_at:
                raise KeyboardInterrupt

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """While somebody asks ``check`` time and again, a signal need not break into what they do."""
        self._looked_at = True
        try:
            yield
        finally:
            self._looked_at = False

    def check(self) -> None:
        """Raises Interrupted when all has to end."""
        if self._event.is_set():
            raise Interrupted(
                "stopped by a signal: its jobs are cancelled, its clusters taken down",
                "The same command goes on where this one was: what ran well is kept.",
            )

    def now(self) -> None:
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Wait so long. Raises Stopped as soon as all has to end."""
        if self._event.wait(seconds):
            raise Stopped


def nothing() -> None:
    """What there is to take down where nothing was started."""


def side_by_side(
    items: Sequence[T],
    work: Callable[[T], R],
    at_once: int,
    finished: Callable[[T, R], None],
    stop: Stop,
    stopping: Callable[[], None] = nothing,
) -> None:
    """Do ``work`` on every item, ``at_once`` at a time; ``finished`` is called here, in turn.

    ``work`` waits with ``stop.pause``, which ends when all has to end, because of a signal or an
    error. Then ``stopping`` is called, and the end of all work awaited. Raises Interrupted after a
    signal, and whatever ``work`` raises.
    """

    def begin(item: T) -> R:
        stop.pause(0)  # nothing begins any more once all has to end
        return work(item)

    with ThreadPoolExecutor(at_once, "lab") as pool, stop.looked_at():
        waiting = {pool.submit(begin, item): item for item in items}
        pending = set(waiting)
        try:
            while pending:
                # Python runs a signal's handler only when this thread wakes up.
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for one in done:
                    if not isinstance(one.exception(), Stopped):
                        finished(waiting[one], one.result())
                stop.check()
        except BaseException:
            stop.now()
            for future in waiting:
                future.cancel()
            stopping()
            raise
