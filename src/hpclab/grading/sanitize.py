"""What a stranger wrote → what may be shown: text with nothing hidden in it, pictures that are nothing else."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from hpclab.grading import png

# Terminal sequences: OSC, DCS, APC, PM and SOS up to their end; CSI; anything else that ESC begins.
ANSI = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
JOINERS = "\u200c\u200d"  # Persian, Hindi and emoji need them


def text(written: str, *, lines: int = 0, characters: int = 0) -> str:
    """``written`` with terminal sequences taken out and every other invisible character made visible.

    ``lines`` and ``characters`` keep the end of it: what a program said last says most.
    """
    plain = ANSI.sub("", written.replace("\r\n", "\n"))
    shown = "".join(_visible(letter) for letter in _settled(plain))
    return _end(shown, lines, characters)


def line(written: str, most: int = 200) -> str:
    """``written`` on one line, its beginning."""
    shown = " ".join(text(written).split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _settled(plain: str) -> str:
    """What a terminal would show of a progress bar: of a line that returns to its beginning, the last of it."""
    if "\r" not in plain:
        return plain
    return "\n".join(_last(one) for one in plain.split("\n"))


def _last(one: str) -> str:
    return next((part for part in reversed(one.split("\r")) if part), "")


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in "\n\t" or letter in JOINERS:
        return letter
    code = ord(letter)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if unicodedata.category(letter) == "Zs":  # spaces of all widths
        return " "
    return f"[U+{code:04X}]"  # turned direction, no width, half a pair, nobody's


def _end(shown: str, lines: int, characters: int) -> str:
    kept = shown
    if lines:
        every = kept.split("\n")
        kept = "\n".join(every[-lines:])
    if characters and len(kept) > characters:
        kept = kept[-characters:]
    return kept if len(kept) == len(shown) else f"[…]\n{kept}"


def picture(output: object) -> bytes | None:
    """The PNG of a notebook's output, if it has a sound one."""
    data = output.get("data") if isinstance(output, Mapping) else None
    coded = data.get("image/png") if isinstance(data, Mapping) else None
    if isinstance(coded, list):
        coded = "".join(part for part in coded if isinstance(part, str))
    if not isinstance(coded, str) or len(coded) > 2 * png.LARGEST:
        return None
    try:
        return png.clean(base64.b64decode("".join(coded.split()), validate=True))
    except (binascii.Error, ValueError):
        return None


def said(output: object, *, lines: int = 0, characters: int = 0) -> str:
    """What a notebook's output says in plain text."""
    if not isinstance(output, Mapping):
        return ""
    if output.get("output_type") == "stream":
        written = _joined(output.get("text"))
    elif output.get("output_type") == "error":
        written = _joined(output.get("traceback"), "\n") or (
            f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
        )
    else:
        data = output.get("data")
        written = _joined(data.get("text/plain")) if isinstance(data, Mapping) else ""
    return text(written, lines=lines, characters=characters)


def _joined(value: object, between: str = "") -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return between.join(part for part in value if isinstance(part, str))
    return ""


def outputs(written: object, *, lines: int = 400, characters: int = 40_000) -> list[dict[str, Any]]:
    """Outputs of a notebook's cell, made anew: text and pictures; no HTML, SVG, script, link or widget."""
    shown: list[dict[str, Any]] = []
    for output in written if isinstance(written, list) else []:
        words = said(output, lines=lines, characters=characters)
        if drawn := picture(output):
            data = {"image/png": base64.b64encode(drawn).decode(), "text/plain": words}
            shown.append({"output_type": "display_data", "data": data, "metadata": {}})
        elif words:
            name = "stderr" if isinstance(output, Mapping) and output.get("name") == "stderr" else "stdout"
            shown.append({"output_type": "stream", "name": name, "text": words})
    return shown
