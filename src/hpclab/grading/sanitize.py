"""Untrusted text and pictures → safe output: text without hidden characters, and PNGs of bounded size."""

from __future__ import annotations

import base64
import binascii
import struct
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from hpclab.ansi import strip_ansi

JOINERS = "\u200c\u200d"  # Persian, Hindi and emoji need them
PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"  # the signature, and the chunk that must come first
MOST_PNG_BYTES = 2 << 20
MOST_PNG_PIXELS = 4_000_000


def text(written: str, *, lines: int = 0, characters: int = 0) -> str:
    """Return ``written`` without terminal sequences, and with every other invisible character made visible.

    With ``lines`` or ``characters`` only the end is kept, because a program's last output says the most.
    """
    plain = strip_ansi(written.replace("\r\n", "\n"))
    visible = "".join(_make_visible(character) for character in _overwrite_lines(plain))
    return _keep_end(visible, lines, characters)


def line(written: str, most: int = 200) -> str:
    """Return ``written`` on one line; only its beginning if it is longer than ``most`` characters."""
    joined = " ".join(text(written).split())
    return joined if len(joined) <= most else f"{joined[: most - 1]}…"


def _overwrite_lines(plain: str) -> str:
    """Return the text as a terminal finally shows it: a carriage return makes a progress bar overwrite its line."""
    if "\r" not in plain:
        return plain
    return "\n".join(
        next((part for part in reversed(row.split("\r")) if part), "") for row in plain.split("\n")
    )


def _make_visible(character: str) -> str:
    if character.isprintable() or character in "\n\t" or character in JOINERS:
        return character
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if unicodedata.category(character) == "Zs":  # spaces of all widths
        return " "
    return f"[U+{code:04X}]"  # changes of direction, zero width, surrogates, unassigned


def _keep_end(visible: str, lines: int, characters: int) -> str:
    kept = visible
    if lines:
        kept = "\n".join(kept.split("\n")[-lines:])
    if characters and len(kept) > characters:
        kept = kept[-characters:]
    return kept if len(kept) == len(visible) else f"[…]\n{kept}"


def output_png(output: object) -> bytes | None:
    """Return the PNG of a notebook's output, if it has one of a reasonable size."""
    data = output.get("data") if isinstance(output, Mapping) else None
    coded = _join(data.get("image/png")) if isinstance(data, Mapping) else ""
    if not coded or len(coded) > 2 * MOST_PNG_BYTES:
        return None
    try:
        png = base64.b64decode("".join(coded.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return png if is_png(png) else None


def is_png(data: bytes) -> bool:
    """Return whether ``data`` starts as a PNG, with bounded size in bytes and pixels.

    The rest is not parsed: as ``<img src="data:image/png;…">`` a browser decodes it or shows nothing, and a
    picture runs no script. The pixel limit protects the browser's memory. SVG, GIF and all other formats are
    refused.
    """
    if not data.startswith(PNG_HEAD) or len(data) > MOST_PNG_BYTES or len(data) < len(PNG_HEAD) + 8:
        return False
    width: int
    height: int
    width, height = struct.unpack_from(">II", data, len(PNG_HEAD))
    return 0 < width * height <= MOST_PNG_PIXELS


def output_text(output: object, *, lines: int = 0, characters: int = 0) -> str:
    """Return a notebook's output in plain text."""
    if not isinstance(output, Mapping):
        return ""
    if output.get("output_type") == "stream":
        written = _join(output.get("text"))
    elif output.get("output_type") == "error":
        written = _join(output.get("traceback"), "\n") or (
            f"{_join(output.get('ename'))}: {_join(output.get('evalue'))}"
        )
    else:
        data = output.get("data")
        written = _join(data.get("text/plain")) if isinstance(data, Mapping) else ""
    return text(written, lines=lines, characters=characters)


def _join(value: object, separator: str = "") -> str:
    """Return a text that a notebook may store as a list of texts; empty for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return separator.join(part for part in value if isinstance(part, str))
    return ""


def outputs(written: object, *, lines: int = 400, characters: int = 40_000) -> list[dict[str, Any]]:
    """Return new outputs for a notebook's cell with only text and PNGs: no HTML, SVG, script, link or widget."""
    cleaned: list[dict[str, Any]] = []
    for output in written if isinstance(written, list) else []:
        plain = output_text(output, lines=lines, characters=characters)
        if png := output_png(output):
            data = {"image/png": base64.b64encode(png).decode(), "text/plain": plain}
            cleaned.append({"output_type": "display_data", "data": data, "metadata": {}})
        elif plain:
            name = "stderr" if isinstance(output, Mapping) and output.get("name") == "stderr" else "stdout"
            cleaned.append({"output_type": "stream", "name": name, "text": plain})
    return cleaned
