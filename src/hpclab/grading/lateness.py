"""How late a submission is, and the penalty for it. Pure.

    compute_lateness(received, due, policy, zone)         one submission
    compute_all_lateness(received, dues, policy, zone)    all labs of one student, which share the free days

``received`` comes from a receipt and ``due`` from ``Course.due``, which includes extensions; both in seconds since
the epoch. A mark after the penalty is ``earned * (1 - penalty_share)``.

Days are counted on the wall clock of the course's zone: a submission due on Saturday at 23:59 is one day late until
Sunday 23:59, also in the night in which the clocks change and that day has 23 or 25 hours.
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
MOST_DAYS = 3660  # ten years; a later time comes from a wrong clock


class LatePolicy(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[late]`` in a course's settings. ``none``: no penalty until the lab closes."""

    policy: Literal["none", "percent"] = "none"
    percent_per_day: Share = 0.0
    most_percent: Share = 100.0
    grace_minutes: Count = 0
    free_days: Count = 0  # for each student, over all labs


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """How late one submission is. ``days`` counts begun days, ``free_days`` those without a penalty."""

    seconds: int
    penalty_share: float  # of the mark, 0 to 1
    description: str
    days: int = 0
    free_days: int = 0


def compute_lateness(
    received: float, due: float | None, policy: LatePolicy, zone: ZoneInfo, *, free_days_used: int = 0
) -> Lateness:
    """Return the lateness of one submission under ``policy``. Exactly at ``due`` is on time; ``due`` None: no deadline."""
    if due is None:
        return Lateness(seconds=0, penalty_share=0.0, description="no deadline")
    late_s = received - due
    if late_s <= 0:
        return Lateness(seconds=0, penalty_share=0.0, description="on time")
    seconds = max(1, math.ceil(late_s))
    if late_s <= policy.grace_minutes * 60:
        return Lateness(
            seconds=seconds,
            penalty_share=0.0,
            description=f"{duration(seconds)} late, within the {policy.grace_minutes} minutes of grace",
        )
    days = begun_days(received, due, zone)
    summary = f"{duration(seconds)} late"
    if policy.policy == "none":
        return Lateness(
            seconds=seconds, penalty_share=0.0, description=f"{summary}, without a penalty", days=days
        )
    free = min(days, max(0, policy.free_days - free_days_used))
    percent = min(policy.most_percent, (days - free) * policy.percent_per_day)
    parts = [summary]
    if free:
        parts.append(f"{_days(free)} free")
    if days > free:
        cap = " (the most there is)" if percent < (days - free) * policy.percent_per_day else ""
        parts.append(f"{_days(days - free)} begun: -{percent:g} %{cap}")
    return Lateness(
        seconds=seconds,
        penalty_share=percent / 100,
        description=", ".join(parts),
        days=days,
        free_days=free,
    )


def compute_all_lateness(
    received: Mapping[str, float], dues: Mapping[str, float | None], policy: LatePolicy, zone: ZoneInfo
) -> dict[str, Lateness]:
    """Return the lateness of every lab of one student; the labs use free days in the order of their deadlines."""
    used = 0
    by_lab = {}
    for lab in sorted(received, key=lambda lab: (dues.get(lab) or 0.0, lab)):
        by_lab[lab] = compute_lateness(received[lab], dues.get(lab), policy, zone, free_days_used=used)
        used += by_lab[lab].free_days
    return by_lab


def begun_days(received: float, due: float, zone: ZoneInfo) -> int:
    """Return the days begun between ``due`` and ``received`` on the wall clock of ``zone``; 0 when it is not late."""
    if received <= due:
        return 0
    # Start one day below the count of 24-hour days, because a day has 23 to 25 hours when the clocks change.
    days = min(MOST_DAYS, max(0, math.floor((received - due) / 86400) - 1))
    while days < MOST_DAYS and received > days_after(due, days, zone):
        days += 1
    return days


def days_after(due: float, days: int, zone: ZoneInfo) -> float:
    """Return the same time of day, ``days`` later. Of an ambiguous time the later one counts, in the student's favour."""
    if not days:
        return due
    local = datetime.datetime.fromtimestamp(due, zone)
    wall = local.replace(tzinfo=None, fold=0) + datetime.timedelta(days=days)
    return max(wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))


def duration(seconds: int) -> str:
    """Format a length of time in its two largest units, in words."""
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
