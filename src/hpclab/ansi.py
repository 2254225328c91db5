"""Terminal control sequences (ECMA-48) in the output of programs."""

from __future__ import annotations

import re

# OSC, DCS, APC, PM and SOS up to their end; CSI; any other sequence that ESC starts. A sequence that is not closed ends
# at the next opening one, which keeps the search linear in the length of the text.
SEQUENCE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)


def strip_ansi(text: str) -> str:
    """``text`` without terminal control sequences."""
    return SEQUENCE.sub("", text)
