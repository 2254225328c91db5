"""Plots of interrupted runs and of the cost of checkpoints."""

from __future__ import annotations

import math

import pytest

from hpclab import plots
from hpclab.errors import UsageError
from hpclab.plots import interval

WHOLE = [[(step, 1 / step) for step in range(1, 61)]]
CUT = [WHOLE[0][:33], WHOLE[0][20:]]
LEFT = [WHOLE[0][:33], [*WHOLE[0][20:40], *((step, 1 / step + 1e-7) for step in range(41, 61))]]


def test_description_says_where_runs_differ() -> None:
    said = plots.describe_loss_curve({"whole": WHOLE, "cut": CUT, "left": LEFT})
    assert max(map(len, said.splitlines())) <= 100, "JupyterLab breaks longer lines in the middle of a word"
    said = said.replace("\n  ", " ")
    assert "cut: 60 steps, resumed at step 21. It equals whole bit for bit." in said
    few = plots.describe_loss_curve(
        {"whole": [[(1, 2.0), (2, 1.5), (3, 1.0)]], "cut": [[(1, 2.0)], [(2, 1.5)], [(2, 1.5)]]}
    )
    assert few.replace("\n  ", " ").endswith(
        "steps 2 and 2. Its 2 steps equal those of whole bit for bit; 1 of 3 are missing."
    )
    assert (
        "left: 60 steps, resumed at step 21. It differs from whole from step 41 on, by at most 1e-07." in said
    )


@pytest.mark.parametrize(
    "runs",
    [
        {},
        {"a": []},
        {"a": [[]], "b": [[]]},
        {"a": WHOLE},
        {"a": WHOLE, "b": [[(100, 1.0)]]},
        {"whole": WHOLE, "cut": CUT, "left": LEFT},
        {"whole": WHOLE, "nan": [[(1, math.nan), (2, math.inf)]], "$x_": LEFT},
    ],
)
def test_every_loss_curve_can_be_drawn(runs: dict[str, list[list[tuple[int, float]]]]) -> None:
    picture = plots.loss_curve(runs)
    assert picture.png().startswith(b"\x89PNG")
    assert picture.description == plots.describe_loss_curve(runs)


def test_equal_steps_are_drawn_at_equal() -> None:
    below = plots.loss_curve({"whole": WHOLE, "left": LEFT}).axes[1]
    [dots] = [line for line in below.lines if line.get_linestyle() == "None"]
    heights = dict(zip(dots.get_xdata(), dots.get_ydata(), strict=True))
    assert below.get_yticklabels()[0].get_text() == "equal"
    assert {heights[step] for step in range(1, 41)} == {below.get_yticks()[0]}
    assert all(heights[step] == pytest.approx(-7, abs=0.1) for step in range(41, 61))


def test_intervals_are_at_the_minimum_of_the_model() -> None:
    for cost, mtbf in ((1.0, 1e6), (60.0, 86400.0), (600.0, 7200.0)):
        around = [interval.daly(cost, mtbf) * 1.001**step for step in range(-2000, 2000)]
        best = min(around, key=lambda place: interval.waste(place, cost, mtbf))
        assert interval.daly(cost, mtbf) == pytest.approx(best, rel=0.02)
        least = interval.waste(best, cost, mtbf)
        assert interval.waste(interval.young(cost, mtbf), cost, mtbf) < least * 1.05


def test_known_values() -> None:
    assert interval.young(50, 10_000) == pytest.approx(1000)
    assert interval.daly(50, 10_000) == pytest.approx(1000 * (1 + 0.05 / 3 + 0.0025 / 9) - 50)
    assert interval.daly(30, 10) == 10
    assert interval.waste(1e9, 1, 1) == 1.0


def test_checkpoint_cost_description_and_marks() -> None:
    points = [(100.0, 0.3), (1000.0, 0.1), (9000.0, 0.4)]
    picture = plots.checkpoint_cost(50, 10_000, restart=20, points=points)
    assert "Young's interval is 16 min 40 s" in picture.description
    assert "lowest is 10.0% at 16 min 40 s" in picture.description
    assert picture.png().startswith(b"\x89PNG")


@pytest.mark.parametrize(("cost", "mtbf"), [(0, 10), (10, 0), (-1, 10), (math.nan, 10)])
def test_times_that_are_not_positive_are_refused(cost: float, mtbf: float) -> None:
    with pytest.raises(UsageError):
        plots.checkpoint_cost(cost, mtbf)


EVENTS = [
    ("batch shell", 100.0, "start"),
    ("task 0", 101.0, "start"),
    ("task 0", 105.25, "SIGUSR1"),
    ("task 0", 107.0, "saved"),
    ("task 0", 107.5, "end"),
    ("batch shell", 108.0, "end"),
]


def test_signals_description() -> None:
    assert plots.describe_signals(list(reversed(EVENTS))).splitlines() == [
        "batch shell: start at 0.0 s, end at 8.0 s.",
        "task 0: start at 1.0 s, SIGUSR1 at 5.2 s, saved at 7.0 s, end at 7.5 s.",
    ]


@pytest.mark.parametrize("events", [[], EVENTS, [("a$b_", 1.0, "x$y_")], [("a", 1.0, "start")]])
def test_every_signal_plot_can_be_drawn(events: list[tuple[str, float, str]]) -> None:
    assert plots.signals(events).png().startswith(b"\x89PNG")


def test_each_kind_has_one_entry_in_the_legend() -> None:
    picture = plots.signals([*EVENTS, ("task 1", 105.5, "SIGUSR1")])
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["SIGUSR1", "saved"]


def test_a_process_that_starts_again_has_two_lines() -> None:
    again = [("a", 0.0, "start"), ("a", 2.0, "SIGUSR1"), ("a", 30.0, "start"), ("a", 33.0, "end")]
    lines = [line for line in plots.signals(again).axes[0].lines if line.get_linewidth() == 5]
    assert [list(line.get_xdata()) for line in lines] == [[0.0, 2.0], [30.0, 33.0]]


def test_process_without_an_end_is_dotted() -> None:
    events = [
        ("a", 0.0, "start"),
        ("a", 2.0, "SIGUSR1"),
        ("a", 30.0, "start"),
        ("b", 0.0, "start"),
        ("b", 50.0, "end"),
    ]
    lines = [line for line in plots.signals(events).axes[0].lines if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in lines] == [[2.0, 30.0], [30.0, 52.0]]
    assert plots.describe_signals(events).splitlines() == [
        "a: start at 0.0 s, SIGUSR1 at 2.0 s, start at 30.0 s, then nothing more.",
        "b: start at 0.0 s, end at 50.0 s.",
    ]
