"""The runner's lines, decoded once: their form and order are checked, and outputs are kept as bounded bytes.

The learner's code runs in the runner's process and can write any line, so no mark depends on one: they are for
the feedback page, and a line that the runner can't have written is reported as forged.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec

from hpclab.grading.execute import executed

MOST_OUTPUTS = 1 << 20  # bytes of outputs that are kept of one run


class RunnerEvent(msgspec.Struct, forbid_unknown_fields=True):
    """One line of the runner. Outputs stay undecoded: they are untrusted, and go into the notebook unchanged."""

    nonce: str
    begin: str | None = None
    cell: str | None = None
    status: str = ""
    outputs: msgspec.Raw = msgspec.Raw(b"[]")
    seconds: float = 0.0
    done: bool = False


class RunnerLog:
    """The events of one run; called with each line. ``forged`` describes the first invalid line, if any."""

    def __init__(self, cells: Sequence[str], nonce: str) -> None:
        self._cells = list(cells)
        self._nonce = nonce
        self._own_line = f'{{"nonce": "{nonce}"'.encode()
        self._begun = 0  # how many cells have begun, and how many have ended
        self._ended = 0
        self._bytes_left = MOST_OUTPUTS
        self.done = False
        self.forged = ""
        self.failed = False  # a cell raised
        self.outputs: dict[str, msgspec.Raw] = {}

    @property
    def last(self) -> str:
        """The cell that began last."""
        return self._cells[self._begun - 1] if self._begun else ""

    @property
    def all_ran(self) -> bool:
        return self.done and not self.forged

    def __call__(self, line: bytes) -> None:
        if self.forged:
            return
        try:
            event = msgspec.json.decode(line, type=RunnerEvent)
        except (msgspec.MsgspecError, RecursionError):
            # A runner that is killed while writing leaves half a line, which is not a forgery.
            if not line.startswith(self._own_line):
                self.forged = "a line that is none of the runner's came on its channel"
            return
        if not secrets.compare_digest(event.nonce.encode(), self._nonce.encode()):
            self.forged = "a line without the run's own sign came on the runner's channel"
        elif not self._accept(event):
            self.forged = "lines came on the runner's channel in an order that the runner does not write"

    def _accept(self, event: RunnerEvent) -> bool:
        """Record ``event``; returns False if it can't come now."""
        if self.done:
            return False
        if event.begin is not None:
            accepted = (
                self._begun == self._ended < len(self._cells) and event.begin == self._cells[self._begun]
            )
            self._begun += accepted
            return accepted
        if event.cell is not None:
            accepted = (
                self._begun == self._ended + 1 and event.cell == self.last and event.status in ("ok", "error")
            )
            if accepted:
                self._ended += 1
                self.failed = self.failed or event.status == "error"
                self._keep_outputs(event)
            return accepted
        self.done = event.done and self._ended == len(self._cells)
        return self.done

    def _keep_outputs(self, event: RunnerEvent) -> None:
        outputs = executed.outputs(memoryview(event.outputs), self._bytes_left)
        self._bytes_left -= len(bytes(outputs))
        self.outputs[self.last] = outputs
