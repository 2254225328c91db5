"""Untrusted text is shown in full and can do nothing; pictures are PNGs of bounded size."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from hpclab.grading import sanitize
from hpclab.grading.sanitize import is_png
from tests.class_data import png


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain, Größe, 日本, 😀", "plain, Größe, 日本, 😀"),
        ("\x1b[31mred\x1b[0m and \x9b1mbold", "red and bold"),
        ("\x1b]0;a title\x07rest", "rest"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPsecret\x1b\\shown", "shown"),
        ("\x1b(Bascii", "ascii"),
        ("a lone \x1b", r"a lone \x1b"),
        ("nul\x00 bell\x07 del\x7f", r"nul\x00 bell\x07 del\x7f"),
        ("c1 \x85 end", "c1 [U+0085] end"),
        ("\u202egnp.exe", "[U+202E]gnp.exe"),
        ("\u2066a\u2069\u200f\u061c", "[U+2066]a[U+2069][U+200F][U+061C]"),
        ("zero\u200bwidth\ufeff", "zero[U+200B]width[U+FEFF]"),
        ("\u0645\u200c\u062e", "\u0645\u200c\u062e"),
        ("tag \U000e0041", "tag [U+E0041]"),
        ("half \ud800", "half [U+D800]"),
        ("line\u2028line", "line[U+2028]line"),
        ("wide\u3000space\xa0here", "wide space here"),
        ("10%\r50%\r100%\ndone\r\n", "100%\ndone\n"),
        ("back\b\b\bfront", r"back\x08\x08\x08front"),
    ],
)
def test_nothing_stays_hidden(written: str, shown: str) -> None:
    assert sanitize.text(written) == shown
    assert sanitize.text(shown) == shown


def test_the_end_is_kept() -> None:
    assert sanitize.text("1\n2\n3", lines=2) == "[…]\n2\n3"
    assert sanitize.text("12345", characters=3) == "[…]\n345"
    assert sanitize.line("a\nb\tc " + "x" * 300, most=8) == "a b c x…"


def test_an_endless_sequence_costs_no_time() -> None:
    """An unfinished terminal sequence hides nothing, and there are many of them."""
    assert "hidden" in sanitize.text("\x1b]" * 3000 + "hidden")
    for opening in ("\x1b]", "\x9d", "\x1bP"):  # minutes, where each is followed to its end
        assert sanitize.text(opening * 200_000 + "hidden").endswith("hidden")


def test_a_png_is_kept() -> None:
    assert is_png(png()) and sanitize.output_png(shown_picture(png())) == png()


def shown_picture(data: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"output_type": "display_data", "data": {kind: base64.b64encode(data).decode()}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg onload=alert(1)>",
        b"GIF89a" + png()[6:],
        b"\xff\xd8\xff" + png(),
        b"<!--" + png(),  # a polyglot, which needs HTML first
        png()[:12],
        png()[:23],  # no complete size
        png().replace(b"IHDR", b"IDAT", 1),
        png(100_000, 0),
        png(0, 100_000),
        png()[:16] + b"\x00\x01\x86\xa0" * 2 + png()[24:],  # 10 gigapixels
        png() + bytes(sanitize.MOST_PNG_BYTES),
    ],
)
def test_anything_but_a_small_png_is_refused(data: bytes) -> None:
    assert not is_png(data)
    assert sanitize.output_png(shown_picture(data)) is None


def test_the_declared_type_must_be_png() -> None:
    for kind in ("image/svg+xml", "image/gif", "image/jpeg", "text/html"):
        assert sanitize.output_png(shown_picture(png(), kind)) is None


def test_only_text_and_pictures_are_left_of_outputs() -> None:
    coded = base64.b64encode(png()).decode()
    written: list[Any] = [
        {"output_type": "stream", "name": "stderr", "text": ["srun: job 3 ", "queued\n"]},
        {"output_type": "display_data", "data": {"text/html": "<b>x</b>", "application/javascript": "x()"}},
        {"output_type": "display_data", "data": {"image/svg+xml": "<svg/>", "text/plain": "a figure"}},
        {"output_type": "display_data", "data": {"image/png": f'{coded[:4]}\n{coded[4:]}', "text/html": "x"}},
        {"output_type": "display_data", "data": {"image/png": 'x" onerror="alert(1)', "text/plain": "lie"}},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mTraceback", "E: v"]},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []},
        "nonsense",
        {"output_type": "stream", "text": 7},
    ]  # fmt: skip
    assert sanitize.outputs(written) == [
        {"output_type": "stream", "name": "stderr", "text": "srun: job 3 queued\n"},
        {"output_type": "stream", "name": "stdout", "text": "a figure"},
        {"output_type": "display_data", "data": {"image/png": coded, "text/plain": ""}, "metadata": {}},
        {"output_type": "stream", "name": "stdout", "text": "lie"},
        {"output_type": "stream", "name": "stdout", "text": "Traceback\nE: v"},
        {"output_type": "stream", "name": "stdout", "text": "E: v"},
    ]
    assert sanitize.outputs({"not": "a list"}) == []
