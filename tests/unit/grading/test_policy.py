"""Late or not, and what it costs: by the wall clock of the class."""

from __future__ import annotations

import datetime
import random
from zoneinfo import ZoneInfo

import pytest

from hpclab.grading.lateness import (
    LatePolicy,
    begun_days,
    compute_all_lateness,
    compute_lateness,
    days_after,
    duration,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    BERLIN,
    ZoneInfo("America/Los_Angeles"),
    ZoneInfo("Asia/Kathmandu"),
    ZoneInfo("UTC"),
    ZoneInfo("Australia/Lord_Howe"),
]
TEN = LatePolicy(policy="percent", percent_per_day=10, most_percent=35)
HOUR, DAY = 3600, 86400


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("late_by", "days", "share"),
    [
        (-1, 0, 0),
        (0, 0, 0),
        (0.001, 1, 0.1),
        (1, 1, 0.1),
        (DAY, 1, 0.1),
        (DAY + 1, 2, 0.2),
        (3 * DAY + 1, 4, 0.35),
    ],
)
def test_a_deadline_holds_to_the_second(late_by: float, days: int, share: float) -> None:
    due = at("2026-02-10T23:59:59")
    found = compute_lateness(due + late_by, due, TEN, BERLIN)
    assert (found.days, found.penalty_share) == (days, pytest.approx(share))
    assert (found.seconds > 0) == (late_by > 0)


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])  # the nights in which Berlin's clocks change
def test_one_day_late_means_the_same_time_of_day_also_when_the_clocks_change(day: str) -> None:
    due = at(f"{day}T23:59:59")
    next_evening = due + {"2026-03-28": 23, "2026-10-24": 25}[day] * HOUR
    assert begun_days(next_evening, due, BERLIN) == 1
    assert begun_days(next_evening + 1, due, BERLIN) == 2


def test_a_time_of_day_that_the_clocks_skip_or_pass_twice_is_counted_kindly() -> None:
    skipped = at("2026-03-28T02:30:00")
    assert days_after(skipped, 1, BERLIN) == at("2026-03-29T03:30:00")
    twice = at("2026-10-24T02:30:00")
    assert days_after(twice, 1, BERLIN) - twice == 25 * HOUR


def test_grace_is_no_lateness_and_behind_it_all_of_it_counts() -> None:
    late = LatePolicy(policy="percent", percent_per_day=10, grace_minutes=15)
    assert compute_lateness(900, 0, late, BERLIN).penalty_share == 0
    assert "within the 15 minutes of grace" in compute_lateness(900, 0, late, BERLIN).description
    assert compute_lateness(901, 0, late, BERLIN).penalty_share == pytest.approx(0.1)
    assert compute_lateness(901, 0, late, BERLIN).seconds == 901


def test_without_a_policy_or_a_deadline_nothing_is_lost() -> None:
    assert compute_lateness(1e9, 0, LatePolicy(), BERLIN).penalty_share == 0
    assert compute_lateness(1e9, 0, LatePolicy(), BERLIN).seconds == 10**9
    assert compute_lateness(1e9, None, TEN, BERLIN).description == "no deadline"


def test_free_days_go_to_labs_in_the_order_of_their_deadlines() -> None:
    late = LatePolicy(policy="percent", percent_per_day=10, free_days=3)
    dues = {"b": 10.0 * DAY, "a": 20.0 * DAY, "c": 30.0 * DAY, "d": None}
    got = {"a": 21.5 * DAY, "b": 12.0 * DAY, "c": 30.5 * DAY, "d": 99.0 * DAY}
    found = compute_all_lateness(got, dues, late, ZoneInfo("UTC"))
    assert {lab: (one.days, one.free_days) for lab, one in found.items()} == {
        "b": (2, 2),
        "a": (2, 1),
        "c": (1, 0),
        "d": (0, 0),
    }
    assert found["a"].penalty_share == found["c"].penalty_share == pytest.approx(0.1)
    assert found["a"].description == "1 day 12 hours late, 1 day free, 1 day begun: -10 %"


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_what_holds_for_all_deadlines(zone: ZoneInfo) -> None:
    """Later never costs less, nothing costs more than the cap, and days are counted as a calendar would."""
    chance = random.Random(str(zone))
    for _ in range(400):
        due = chance.uniform(at("2026-01-01T00:00:00"), at("2027-12-31T00:00:00"))
        late = LatePolicy(
            policy="percent",
            percent_per_day=chance.uniform(0, 60),
            most_percent=chance.uniform(0, 100),
            grace_minutes=chance.randrange(60),
            free_days=chance.randrange(4),
        )
        times = sorted(due + chance.uniform(-DAY, 400 * DAY) for _ in range(6))
        found = [compute_lateness(when, due, late, zone) for when in times]
        shares = [one.penalty_share for one in found]
        assert shares == sorted(shares)
        assert all(0 <= share <= late.most_percent / 100 <= 1 for share in shares)
        for when, one in zip(times, found, strict=True):
            days = begun_days(when, due, zone)
            assert abs(days - max(0.0, when - due) / DAY) <= 1 + 1 / 24
            assert one.free_days <= min(late.free_days, days)
            if when <= due:
                assert one.seconds == 0
            elif days:
                assert days_after(due, days - 1, zone) < when <= days_after(due, days, zone)


def test_durations_are_said_in_two_units() -> None:
    assert [duration(count) for count in (0, 1, 61, 3600, 3661, 90061)] == [
        "0 seconds",
        "1 second",
        "1 minute 1 second",
        "1 hour",
        "1 hour 1 minute",
        "1 day 1 hour",
    ]
