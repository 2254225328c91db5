"""A time axis on which short jobs stay visible: where nothing happens for long, a piece is cut out."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

IDLE_SHARE = 0.07  # how much of the busy time a pause between jobs may take
ALL_IDLE = 0.7  # and how much all of them together
WORTH = 3  # a pause is cut where it is so many times longer than it may be
LONG = 4  # a stretch without events that is so many times longer than all the rest is cut
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)


@dataclass(frozen=True)
class Timescale:
    """Moments and where they stand on the axis, both growing; linear in between."""

    moments: tuple[float, ...]
    places: tuple[float, ...]
    cuts: tuple[tuple[float, float], ...]  # the stretches that are shown shorter than they were

    @property
    def length(self) -> float:
        """How long the axis is."""
        return self.places[-1] - self.places[0]

    def place(self, moment: float) -> float:
        """Where a moment stands."""
        right = min(max(bisect_right(self.moments, moment), 1), len(self.moments) - 1)
        first, last = self.moments[right - 1], self.moments[right]
        share = (moment - first) / (last - first)
        return self.places[right - 1] + share * (self.places[right] - self.places[right - 1])

    def ticks(self, most: int = 7) -> tuple[list[float], int]:
        """Moments for the axis' labels, whole steps after the first one, and the step in seconds."""
        zero = self.moments[0]
        step = next((one for one in _STEPS if self.length / one <= most), 86400)
        while self.length / step > most:
            step *= 2
        count = int((self.moments[-1] - zero) // step)
        found: list[float] = []
        for moment in (zero + number * step for number in range(min(count, 100_000) + 1)):
            inside = any(first < moment < last for first, last in self.cuts)
            near = found and self.place(moment) - self.place(found[-1]) < 0.85 * self.length / most
            if not inside and not near:
                found.append(moment)
        return found, step


def timescale(spans: Sequence[tuple[float, float]], events: Sequence[float]) -> Timescale:
    """The axis for jobs that were there in ``spans``, with something happening at ``events`` (both in seconds)."""
    moments = sorted({*events, *(end for span in spans for end in span)}) or [0.0]
    if len(moments) == 1:
        moments.append(moments[0] + 1.0)
    stretches = list(itertools.pairwise(moments))
    lengths = [last - first for first, last in stretches]
    idle = [not any(start <= first and last <= end for start, end in spans) for first, last in stretches]
    busy = sum(length for length, pause in zip(lengths, idle, strict=True) if not pause)
    at_most = busy * min(IDLE_SHARE, ALL_IDLE / max(sum(idle), 1))
    shown = [
        at_most if pause and length > WORTH * at_most > 0 else length
        for length, pause in zip(lengths, idle, strict=True)
    ]
    longest = max(range(len(shown)), key=shown.__getitem__)
    others = sum(shown) - shown[longest]
    if shown[longest] > LONG * others > 0:
        shown[longest] = others
    places = [0.0]
    for length in shown:
        places.append(places[-1] + length)
    cuts = [
        stretch for stretch, length, short in zip(stretches, lengths, shown, strict=True) if short < length
    ]
    return Timescale(tuple(moments), tuple(places), tuple(cuts))


def label(seconds: float, step: int, longest: float) -> str:
    """``40``, ``2:30`` or ``1:05:00``, as ``unit`` says."""
    whole = round(seconds)
    if longest < 120:
        return str(whole)
    if longest < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    seconds_too = f":{whole % 60:02}" if step < 60 else ""
    return f"{whole // 3600}:{whole // 60 % 60:02}{seconds_too}"


def unit(step: int, longest: float) -> str:
    """What the labels count."""
    if longest < 120:
        return "seconds"
    if longest < 3600:
        return "minutes:seconds"
    return "hours:minutes:seconds" if step < 60 else "hours:minutes"
