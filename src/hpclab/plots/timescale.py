"""A time axis that keeps short jobs visible: long stretches without events are cut out."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PAUSE_SHARE = 0.07  # a pause between jobs may take this share of the busy time
MAX_PAUSES_SHARE = 0.7  # and all pauses together this share
CUT_FACTOR = 3  # a pause is cut if it is this many times longer than allowed
LONG_STRETCH_FACTOR = 4  # a stretch is cut if it is this many times longer than all the rest
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)


@dataclass(frozen=True)
class Timescale:
    """A piecewise linear map from moments to positions on the axis; both increase."""

    moments: tuple[float, ...]
    places: tuple[float, ...]
    cuts: tuple[tuple[float, float], ...]  # the stretches that are shown shortened

    @property
    def length(self) -> float:
        """The length of the axis."""
        return self.places[-1] - self.places[0]

    def place(self, moment: float) -> float:
        """Return the position of a moment."""
        right = min(max(bisect_right(self.moments, moment), 1), len(self.moments) - 1)
        first, last = self.moments[right - 1], self.moments[right]
        share = (moment - first) / (last - first)
        return self.places[right - 1] + share * (self.places[right] - self.places[right - 1])

    def ticks(self, limit: int = 7) -> tuple[list[float], int]:
        """Return at most about ``limit`` moments to label, and the step between them in seconds."""
        zero = self.moments[0]
        step = next((step for step in _STEPS if self.length / step <= limit), 86400)
        while self.length / step > limit:
            step *= 2
        count = int((self.moments[-1] - zero) // step)
        moments: list[float] = []
        for moment in (zero + number * step for number in range(min(count, 100_000) + 1)):
            inside = any(first < moment < last for first, last in self.cuts)
            near = moments and self.place(moment) - self.place(moments[-1]) < 0.85 * self.length / limit
            if not inside and not near:
                moments.append(moment)
        return moments, step


def build_timescale(spans: Sequence[tuple[float, float]], events: Sequence[float]) -> Timescale:
    """Return the axis for jobs that existed during ``spans``, with events at ``events``; all in seconds."""
    moments = sorted({*events, *(end for span in spans for end in span)}) or [0.0]
    if len(moments) == 1:
        moments.append(moments[0] + 1.0)
    stretches = list(itertools.pairwise(moments))
    lengths = [last - first for first, last in stretches]
    idle = [not any(start <= first and last <= end for start, end in spans) for first, last in stretches]
    busy = sum(length for length, pause in zip(lengths, idle, strict=True) if not pause)
    max_pause = busy * min(MAX_PAUSE_SHARE, MAX_PAUSES_SHARE / max(sum(idle), 1))
    shown = [
        max_pause if pause and length > CUT_FACTOR * max_pause > 0 else length
        for length, pause in zip(lengths, idle, strict=True)
    ]
    longest = max(range(len(shown)), key=shown.__getitem__)
    others = sum(shown) - shown[longest]
    if shown[longest] > LONG_STRETCH_FACTOR * others > 0:
        shown[longest] = others
    places = [0.0]
    for length in shown:
        places.append(places[-1] + length)
    cuts = [
        stretch for stretch, length, short in zip(stretches, lengths, shown, strict=True) if short < length
    ]
    return Timescale(tuple(moments), tuple(places), tuple(cuts))


def format_label(seconds: float, step: int, longest: float) -> str:
    """Format a tick as ``40``, ``2:30`` or ``1:05:00``; ``label_unit`` names the format."""
    whole = round(seconds)
    if longest < 120:
        return str(whole)
    if longest < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    seconds_part = f":{whole % 60:02}" if step < 60 else ""
    return f"{whole // 3600}:{whole // 60 % 60:02}{seconds_part}"


def label_unit(step: int, longest: float) -> str:
    """Return the format of the tick labels."""
    if longest < 120:
        return "seconds"
    if longest < 3600:
        return "minutes:seconds"
    return "hours:minutes:seconds" if step < 60 else "hours:minutes"
