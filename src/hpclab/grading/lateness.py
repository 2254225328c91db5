"""How late is late, and what it costs: pure, by the class's clock.

    lateness(received, due, late, zone)   one submission → Lateness(seconds, penalty_share, words)
    course(received, dues, late, zone)    all labs of one student, so that free days are spent in order

``received`` comes from a receipt and ``due`` from ``settings.Class.due`` (an extension is in it), both in
seconds since the epoch. A mark after the penalty is ``earned * (1 - penalty_share)``.

Days are counted on the wall clock of the class's zone: what is due on Saturday at 23:59 is one day late
until Sunday 23:59, also in the night in which the clocks change and that day has 23 or 25 hours.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0)]
FOREVER = 3660  # days; what is later than ten years has a wrong clock somewhere


class Late(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[late]`` of a class. ``none``: work is late and costs nothing until the lab closes."""

    policy: Literal["none", "percent"] = "none"
    percent_per_day: Share = 0.0
    most_percent: Share = 100.0
    grace_minutes: Count = 0
    free_days: Count = 0  # for each student, over all labs


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """How late one submission is. ``days`` are begun ones, ``free_days`` those that cost nothing."""

    seconds: int
    penalty_share: float  # of the mark, 0 to 1
    words: str
    days: int = 0
    free_days: int = 0


def lateness(
    received: float, due: float | None, late: Late, zone: ZoneInfo, *, free_days_used: int = 0
) -> Lateness:
    """What ``late`` makes of one submission. Exactly at ``due`` is in time; ``due`` None has no deadline."""
    if due is None:
        return Lateness(seconds=0, penalty_share=0.0, words="no deadline")
    over = received - due
    if over <= 0:
        return Lateness(seconds=0, penalty_share=0.0, words="in time")
    seconds = max(1, math.ceil(over))
    if over <= late.grace_minutes * 60:
        return Lateness(
            seconds=seconds,
            penalty_share=0.0,
            words=f"{duration(seconds)} late, within the {late.grace_minutes} minutes of grace",
        )
    days = begun_days(received, due, zone)
    said = f"{duration(seconds)} late"
    if late.policy == "none":
        return Lateness(seconds=seconds, penalty_share=0.0, words=f"{said}, which costs nothing", days=days)
    free = min(days, max(0, late.free_days - free_days_used))
    percent = min(late.most_percent, (days - free) * late.percent_per_day)
    parts = [said]
    if free:
        parts.append(f"{_days(free)} free")
    if days > free:
        cap = " (the most there is)" if percent < (days - free) * late.percent_per_day else ""
        parts.append(f"{_days(days - free)} begun: -{percent:g} %{cap}")
    return Lateness(
        seconds=seconds,
        penalty_share=percent / 100,
        words=", ".join(parts),
        days=days,
        free_days=free,
    )


def course(
    received: Mapping[str, float], dues: Mapping[str, float | None], late: Late, zone: ZoneInfo
) -> dict[str, Lateness]:
    """Every lab that one student handed in; free days go to the labs in the order of their deadlines."""
    used = 0
    found = {}
    for lab in sorted(received, key=lambda lab: (dues.get(lab) or 0.0, lab)):
        found[lab] = lateness(received[lab], dues.get(lab), late, zone, free_days_used=used)
        used += found[lab].free_days
    return found


def begun_days(received: float, due: float, zone: ZoneInfo) -> int:
    """Days begun between ``due`` and ``received`` on the wall clock of ``zone``; 0 when it is not late."""
    if received <= due:
        return 0
    # Whole days of 24 hours are a guess at most one off: a day has 23 to 25 hours, and twice a year at that.
    days = min(FOREVER, max(0, math.floor((received - due) / 86400) - 1))
    while days < FOREVER and received > days_after(due, days, zone):
        days += 1
    return days


def days_after(due: float, days: int, zone: ZoneInfo) -> float:
    """The same time of day, ``days`` later. Where it comes twice, the later one counts: that is kinder."""
    if not days:
        return due
    there = datetime.datetime.fromtimestamp(due, zone)
    wall = there.replace(tzinfo=None, fold=0) + datetime.timedelta(days=days)
    return max(wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))


def duration(seconds: int) -> str:
    """A length of time as people say it, in its two largest units."""
    parts = []
    rest = seconds
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 seconds"


def _days(count: int) -> str:
    return f"{count} day{'s' if count > 1 else ''}"
