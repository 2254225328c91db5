"""A figure that shows itself in a notebook, with its words beside it."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable
from typing import Any, ParamSpec

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#222222"
FAINT = "#767676"
_COLUMNS = 100  # of printed text: JupyterLab breaks longer lines in the middle of a word
_Given = ParamSpec("_Given")


def wrapped(describe: Callable[_Given, str]) -> Callable[_Given, str]:
    """The same function, with the lines of its text broken between words."""

    @functools.wraps(describe)
    def broken(*args: _Given.args, **more: _Given.kwargs) -> str:
        lines = describe(*args, **more).splitlines()
        return "\n".join(
            textwrap.fill(line, _COLUMNS, subsequent_indent="  ", break_on_hyphens=False) for line in lines
        )

    return broken


class Picture(Figure):
    """A matplotlib figure; ``words`` say what it shows.

    IPython knows how to show a figure only once pyplot is loaded, so this one brings its own way.
    """

    def __init__(self, words: str, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained", facecolor="white")
        self.words = words
        FigureCanvasAgg(self)

    def png(self, dpi: float = 110) -> bytes:
        """The picture as PNG."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/png": self.png(), "text/plain": self.words}, {"image/png": {"alt": self.words}}


def bare(axes: Axes, *, keep: tuple[str, ...] = ("bottom",)) -> None:
    """Only the frame's sides in ``keep``, thin and grey, and no tick marks on the left."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in keep)
        spine.set_color(FAINT)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.tick_params(axis="x", color=FAINT, labelcolor=INK)


def duration(seconds: float) -> str:
    """``7 s``, ``2 min 5 s``, ``3 h 10 min``, ``2 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, small, size, part in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86400, 3600)):
        if whole < size * {"min": 60, "h": 24, "d": 1_000_000}[big]:
            first, rest = divmod(whole, size)
            return f"{first} {big} {rest // part} {small}" if rest // part else f"{first} {big}"
    return f"{whole} s"


def size(count: float) -> str:
    """``600 MiB``, ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if count >= 100 or count == int(count) else f"{count:.3g} {unit}"


def plural(count: int, word: str) -> str:
    """``1 task``, ``3 tasks``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def printable(text: str, most: int = 28) -> str:
    """``text`` on one line, without control characters, cut to ``most`` characters."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= most else f"{line[: most - 1]}…"
