"""The runner's lines, cut to size before anything is built of them: the input is untrusted.

``protocol.Heard`` checks their form and order; here only outputs are kept, as the bytes they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hpclab.grading.execute import executed
from hpclab.grading.execute.protocol import Heard

MOST_OUTPUTS = 1 << 20  # bytes of outputs that are kept of one run


class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """As ``protocol.Line``, with outputs that are not built."""

    nonce: str
    begin: str | None = None
    cell: str | None = None
    status: str = ""
    outputs: msgspec.Raw = msgspec.Raw(b"[]")
    seconds: float = 0.0
    done: bool = False


class Cells:
    """What the runner says of the learner's cells; call it with each line."""

    def __init__(self, cells: Sequence[dict[str, Any]], nonce: str) -> None:
        self.heard = Heard([cell["id"] for cell in cells], nonce)
        self.printed: dict[str, msgspec.Raw] = {}
        self._left = MOST_OUTPUTS
        self._own = f'{{"nonce": "{nonce}"'.encode()

    def __call__(self, line: bytes) -> None:
        try:
            said = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, RecursionError):
            # A runner that is killed while it writes leaves half a line, which is no forgery: it did not end well, that is all.
            if not line.startswith(self._own):
                self.heard(line[:1000])  # which cannot be read either, and says so
            return
        outputs = executed.outputs(memoryview(said.outputs), self._left)
        self._left -= len(bytes(outputs))
        before = self.heard.last
        said.outputs = msgspec.Raw(b"[]")
        self.heard(msgspec.json.encode(said))
        if said.cell and said.cell == before and not self.heard.forged:
            self.printed[said.cell] = outputs
