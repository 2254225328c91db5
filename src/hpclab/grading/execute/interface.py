"""The interface that grading requires of a sandbox for one submission.

There are two implementations: ``plain_sandbox`` (no cluster: a fork of the forkserver), and an isolated
cluster, which the layer ``app`` passes in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from hpclab.grading.model import Lab, Limits
from hpclab.sandbox.termination import Termination


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a program in the sandbox ended: DONE, CRASH, or the limit that stopped it."""

    termination: Termination = Termination.DONE
    status: int | None  # exit status; None when a signal ended it
    signal: int | None = None
    seconds: float = 0.0
    errors: str = ""  # the end of its stderr


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question.

    ``line`` is what the learner's program wrote, untrusted; ``none`` is why there is none, as the sandbox
    observed it: a limit, or CRASH.
    """

    line: bytes = b""
    none: Termination | None = None


class Sandbox(Protocol):
    """The sandbox of one submission. No process in it survives it."""

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write ``files`` (paths from the top of the learner's folder), owned by the learner."""

    def run_cells(self, request: bytes, line: Callable[[bytes], None], limits: Limits) -> Ended:
        """Run ``grading.execute.runner`` as the learner with ``request`` on stdin; ``line`` gets each line it writes."""

    def stop_learner(self, limits: Limits) -> str:
        """Wait for running jobs, then stop all of the learner's processes; returns a description of what was stopped."""

    def run_tests(self, request: bytes, line: Callable[[bytes], bytes | None], seconds: float) -> Ended:
        """Run ``grading.assess.test_runner`` as another user in the lab's folder. ``line`` may return a reply to a line."""

    def ask_program(self, request: bytes, limits: Limits, files: Mapping[str, bytes] | None = None) -> Answer:
        """Run ``grading.execute.runner`` in a new sandbox, to answer one question.

        The new sandbox has ``files``, or what was ``put`` into this one.
        """


Enter = Callable[[Lab, Limits], AbstractContextManager[Sandbox]]
