"""What grading asks of a place for one submission, whoever provides it.

There are two: ``plain_sandbox`` (no cluster: a fork of a process that has everything imported), and an isolated
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
    """How a program in the sandbox came to its end: DONE, CRASH, or the limit that stopped it."""

    termination: Termination = Termination.DONE
    status: int | None  # exit status; None when a signal ended it
    signal: int | None = None
    seconds: float = 0.0
    errors: str = ""  # the end of what it wrote to stderr


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a question: the ``line`` that the learner's program wrote, untrusted,

    or why there is ``none``, as the sandbox saw it: a limit, or CRASH.
    """

    line: bytes = b""
    none: Termination | None = None


class Sandbox(Protocol):
    """One submission's own place. Nothing that it starts survives it."""

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write ``files`` (paths from the top of the learner's folder) there, the learner's own."""

    def run_cells(self, request: bytes, line: Callable[[bytes], None], limits: Limits) -> Ended:
        """Run ``grading.runner`` as the learner with ``request`` on its stdin; each line it writes goes to ``line``."""

    def stop_learner(self, limits: Limits) -> str:
        """Wait for jobs that still run, then stop everything of the learner's; what had to be stopped, in words."""

    def run_tests(self, request: bytes, line: Callable[[bytes], bytes | None], seconds: float) -> Ended:
        """Run ``grading.trusted`` as somebody else, in the lab's folder. ``line`` may answer a line with one of its own."""

    def ask_program(self, request: bytes, limits: Limits, files: Mapping[str, bytes] | None = None) -> Answer:
        """Run ``grading.runner`` afresh, in a new sandbox, to answer one question.

        There lie ``files``, or what was ``put`` here.
        """


Enter = Callable[[Lab, Limits], AbstractContextManager[Sandbox]]
