"""Work in parallel, and its cancellation."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from hpclab.app.parallel import Cancellation, Cancelled, Interrupted, run_parallel


def test_as_many_run_at_once_as_asked_for() -> None:
    together = threading.Barrier(3, timeout=30)
    results: list[tuple[int, int]] = []

    def work(item: int) -> int:
        together.wait()  # passes only when three are here at the same time
        return item * 2

    run_parallel(range(6), work, 3, lambda item, result: results.append((item, result)), Cancellation())
    assert sorted(results) == [(item, item * 2) for item in range(6)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_what_waits_and_cleans_up(number: int) -> None:
    waiting = threading.Semaphore(0)
    events: list[str] = []
    cancellation = Cancellation()

    def work(_item: int) -> None:
        try:
            waiting.release()
            cancellation.pause(200)
        except Cancelled:
            events.append("cancelled")
            raise

    def send() -> None:
        for _ in range(2):
            waiting.acquire(timeout=30)
        for _ in range(2):  # the second one must not interrupt the cleaning up
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=send).start()
    with pytest.raises(Interrupted) as caught, cancellation:
        run_parallel(
            range(5),
            work,
            2,
            lambda *_: events.append("finished"),
            cancellation,
            lambda: events.append("clean up"),
        )
    assert sorted(events) == ["cancelled", "cancelled", "clean up"]
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) is before


def test_outside_of_the_work_only_the_first_signal_interrupts() -> None:
    with Cancellation():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # during the cleaning up


def test_an_error_in_one_cancels_the_others() -> None:
    cancellation, cancelled = Cancellation(), threading.Event()

    def work(item: int) -> None:
        if item:
            raise ZeroDivisionError
        try:
            cancellation.pause(200)
        except Cancelled:
            cancelled.set()
            raise

    with pytest.raises(ZeroDivisionError):
        run_parallel(range(2), work, 2, lambda *_: None, cancellation)
    assert cancelled.is_set()
