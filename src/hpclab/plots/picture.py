"""The figure class of all plots, with its text alternative, and shared formatting."""

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
_COLUMNS = 100  # JupyterLab breaks longer lines in the middle of a word
_Params = ParamSpec("_Params")


def wrap_lines(describe: Callable[_Params, str]) -> Callable[_Params, str]:
    """Decorate ``describe`` so that the lines of its text are wrapped between words."""

    @functools.wraps(describe)
    def wrapper(*args: _Params.args, **more: _Params.kwargs) -> str:
        lines = describe(*args, **more).splitlines()
        return "\n".join(
            textwrap.fill(line, _COLUMNS, subsequent_indent="  ", break_on_hyphens=False) for line in lines
        )

    return wrapper


class Picture(Figure):
    """A matplotlib figure with a text alternative, ``description``.

    IPython displays a figure only when pyplot is loaded, so this class has its own display method.
    """

    def __init__(self, description: str, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained", facecolor="white")
        self.description = description
        FigureCanvasAgg(self)

    def png(self, dpi: float = 110) -> bytes:
        """Render the figure as PNG."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/png": self.png(), "text/plain": self.description}, {
            "image/png": {"alt": self.description}
        }


def hide_spines(axes: Axes, *, keep: tuple[str, ...] = ("bottom",)) -> None:
    """Hide the sides of the frame that are not in ``keep``, and the tick marks of the y axis."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in keep)
        spine.set_color(FAINT)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.tick_params(axis="x", color=FAINT, labelcolor=INK)


def format_duration(seconds: float) -> str:
    """Format seconds as ``7 s``, ``2 min 5 s``, ``3 h 10 min`` or ``2 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, small, size, part in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86400, 3600)):
        if whole < size * {"min": 60, "h": 24, "d": 1_000_000}[big]:
            first, rest = divmod(whole, size)
            return f"{first} {big} {rest // part} {small}" if rest // part else f"{first} {big}"
    return f"{whole} s"


def format_size(count: float) -> str:
    """Format bytes as ``600 MiB`` or ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if count >= 100 or count == int(count) else f"{count:.3g} {unit}"


def pluralize(count: int, word: str) -> str:
    """Format a count with its noun: ``1 task``, ``3 tasks``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def to_printable(text: str, limit: int = 28) -> str:
    """Return ``text`` without control characters, cut to ``limit`` characters."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
