"""Plots of jobs and their descriptions."""

from __future__ import annotations

import itertools
import re

import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from hpclab import plots
from hpclab.errors import UsageError
from hpclab.plots import graph_layout, timescale
from hpclab.plots.picture import format_duration, format_size, to_printable
from hpclab.slurm import Job, Usage

T = 1_700_000_000
PNG = b"\x89PNG"


def job(
    id: str, name: str, state: str, submit: int, start: int | None = None, end: int | None = None, **more: int
) -> Job:
    return Job(
        id=id,
        raw_id=id,
        name=name,
        state=state,
        submit=T + submit,
        start=None if start is None else T + start,
        end=None if end is None else T + end,
        elapsed=None if start is None or end is None else end - start,
        exit_code=more.get("exit_code"),
    )


JOBS = [
    job("1", "a", "COMPLETED", 0, 3, 10),
    job("2", "b", "CANCELLED", 1, None, 5),
    job("3", "c", "RUNNING", 2, 4),
]


def bars(picture: plots.Picture) -> list[tuple[float, float, float]]:
    """(row, left, width) of each bar."""
    found = [
        patch
        for patch in picture.axes[0].patches
        if isinstance(patch, Rectangle) and patch.get_height() == 0.56
    ]
    return [(round(bar.get_y() + 0.28), round(bar.get_x(), 3), round(bar.get_width(), 3)) for bar in found]


def texts(picture: plots.Picture) -> str:
    return "\n".join(text.get_text() for text in picture.findobj(lambda artist: hasattr(artist, "get_text")))


# ---- every picture ---------------------------------------------------------------------------

USES = [
    Usage("tight (1)", 2, 1.9, 100 * 2**20, 90 * 2**20, 60, 50),
    Usage("loose (2)", 4, 0.4, 2**30, 2**27, 3600, 36),
]
ROWS = [{"lr": "0.1", "loss": "0.5"}, {"lr": "0.01", "loss": "0.25"}, {"lr": "1", "loss": "nan"}]
PICTURES = {
    "timeline": lambda: plots.timeline(JOBS, now=T + 20),
    "no jobs": lambda: plots.timeline([]),
    "graph": lambda: plots.dependency_graph(JOBS, [("1", "2", "afterok"), ("2", "3", "afterany")]),
    "empty graph": lambda: plots.dependency_graph([], []),
    "use": lambda: plots.request_against_use(USES),
    "no use": lambda: plots.request_against_use([]),
    "sweep": lambda: plots.sweep(ROWS, "lr", "loss", log_x=True),
    "empty sweep": lambda: plots.sweep([], "lr", "loss"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_displays_with_its_description(name: str) -> None:
    picture = PICTURES[name]()
    data, metadata = DisplayFormatter().format(picture)
    assert data["image/png"].startswith(PNG)
    assert data["text/plain"] == picture.description == metadata["image/png"]["alt"] != ""


def test_the_same_picture_is_the_same_bytes() -> None:
    assert plots.timeline(JOBS, now=T + 20).png() == plots.timeline(JOBS, now=T + 20).png()


ODD = ["$x_1$", "a\nb\x1fc", "\\frac", "x" * 200, "", "_hidden", "größer"]


def test_names_are_drawn_literally() -> None:
    jobs = [job(str(index), name, "COMPLETED", 0, 1, 2) for index, name in enumerate(ODD)]
    edges = [("0", str(index), name) for index, name in enumerate(ODD)]
    rows = [{name: name for name in ODD} | {"y": index} for index, name in enumerate(ODD)]
    for picture in (
        plots.timeline(jobs),
        plots.dependency_graph(jobs, edges),
        plots.request_against_use([Usage(name, 1, 1) for name in ODD]),
        *(plots.sweep(rows, name, "y", by=name) for name in ("$x_1$", "x" * 200)),
        plots.sweep([{"a\nb": name, "y": index} for index, name in enumerate(ODD)], "a\nb", "y"),
    ):
        assert picture.png(40).startswith(PNG)
        assert not re.search(r"[\x00-\x09\x0b-\x1f]|\n\n", picture.description)
    assert len(plots.timeline(jobs).description.splitlines()) == len(ODD)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (11400, "3 h 10 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (2**10, "1 KiB"),
        (600 * 2**20, "600 MiB"),
        (1.5 * 2**30, "1.5 GiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_sizes(count: float, words: str) -> None:
    assert format_size(count) == words


def test_a_name_on_one_line() -> None:
    assert to_printable("a\nb\x1f", 9) == "a?b?"
    assert to_printable("abcdef", 4) == "abc…"


# ---- timeline --------------------------------------------------------------------------------


def test_timeline_description() -> None:
    assert plots.describe_timeline(JOBS).splitlines() == [
        "a (1): waited 3 s, ran 7 s, COMPLETED",
        "b (2): waited 4 s, never started, CANCELLED",
        "c (3): waited 2 s, RUNNING",
    ]
    failed = job("4", "d", "FAILED", 0, 1, 200, exit_code=3)
    assert plots.describe_timeline([failed]) == "d (4): waited 1 s, ran 3 min 19 s, FAILED, exit code 3"
    assert plots.describe_timeline([]) == "No jobs."


def test_waits_and_runs_are_bars() -> None:
    picture = plots.timeline(JOBS, now=T + 20)
    assert bars(picture) == [(0, 0, 3), (0, 3, 7), (1, 1, 4), (2, 2, 2), (2, 4, 16)]
    assert "waited 3 s, ran 7 s, COMPLETED" in texts(picture)


def test_attempts_of_one_job_share_a_row() -> None:
    tries = [job("7", "train", "PREEMPTED", 0, 1, 4), job("7", "train", "COMPLETED", 4, 6, 9)]
    picture = plots.timeline([*tries, job("8", "x", "COMPLETED", 1, 2, 3)])
    assert bars(picture) == [(0, 0, 1), (0, 1, 3), (0, 4, 2), (0, 6, 3), (1, 1, 1), (1, 2, 1)]
    assert "2 attempts, ran 6 s, COMPLETED" in texts(picture)
    assert picture.description.splitlines()[0] == (
        "train (7): attempt 1: waited 1 s, ran 3 s, PREEMPTED; attempt 2: waited 2 s, ran 3 s, COMPLETED"
    )


def test_short_jobs_stay_visible_beside_long_pauses() -> None:
    early, late = job("1", "a", "COMPLETED", 0, 1, 2), job("2", "b", "COMPLETED", 7200, 7201, 7203)
    picture = plots.timeline([early, late])
    left, right = picture.axes[0].get_xlim()
    assert all(width / (right - left) > 0.1 for _, _, width in bars(picture))
    assert "1 h 59 min" in texts(picture)  # what was cut out is said
    queued = job("3", "c", "COMPLETED", 0, 14400, 14420)
    picture = plots.timeline([queued, job("4", "d", "COMPLETED", 14400, 14405, 14410)])
    left, right = picture.axes[0].get_xlim()
    assert all(width / (right - left) > 0.05 for _, _, width in bars(picture))


def test_job_of_zero_seconds_is_drawn() -> None:
    assert [width > 0 for _, _, width in bars(plots.timeline([job("1", "a", "COMPLETED", 0, 0, 0)]))] == [
        True
    ]


def test_a_hundred_tasks_are_drawn() -> None:
    tasks = [job(f"9_{index}", "sweep", "COMPLETED", 0, index, index + 5) for index in range(150)]
    assert plots.timeline(tasks).get_figheight() == 40.0


def test_positions_increase_with_time() -> None:
    scale = timescale.build_timescale([(0, 5), (3, 9), (1000, 1003), (90000, 90050)], [4, 1001])
    moments = [0, 2, 3, 4, 9, 500, 1000, 1002, 50000, 90000, 90050]
    places = [scale.place(moment) for moment in moments]
    assert all(first < second for first, second in itertools.pairwise(places))
    assert scale.place(3) - scale.place(0) == 3  # what is not cut keeps its length
    assert scale.cuts == ((9, 1000), (1003, 90000))


def test_short_pause_is_not_cut() -> None:
    scale = timescale.build_timescale([(0, 20), (23, 40), (400, 420)], [])
    assert scale.cuts == ((40, 400),)
    assert timescale.build_timescale([(0, 0), (60, 60)], []).cuts == ()


def test_ticks_are_apart_and_outside_of_cuts() -> None:
    scale = timescale.build_timescale([(0, 40), (5000, 5060)], [])
    ticks, step = scale.ticks()
    assert ticks[0] == 0 and 3 <= len(ticks) <= 8
    assert all(tick % step == 0 and not 40 < tick < 5000 for tick in ticks)
    assert [timescale.format_label(tick, step, 5060) for tick in (0, 30, 5000)] == [
        "0:00:00",
        "0:00:30",
        "1:23:20",
    ]
    assert timescale.format_label(30, 10, 100) == "30" and timescale.format_label(90, 30, 600) == "1:30"
    assert timescale.format_label(5400, 600, 9000) == "1:30"


# ---- dependency graph ------------------------------------------------------------------------

DIAMOND = [
    job("60", "prepare", "COMPLETED", 0, 0, 5),
    job("61", "north", "COMPLETED", 0, 6, 9),
    job("62", "south", "FAILED", 0, 6, 9, exit_code=3),
    job("63", "merge", "CANCELLED", 0),
    job("64", "clean-up", "COMPLETED", 0, 10, 11),
]
EDGES = [
    ("60", "61", "afterok"),
    ("60", "62", "afterok"),
    ("61", "63", "afterok"),
    ("62", "63", "afterok"),
    ("62", "64", "afternotok"),
    ("60", "64", "afterany"),
]


def test_graph_description() -> None:
    assert plots.describe_dependency_graph(DIAMOND, EDGES).splitlines() == [
        "prepare (60): COMPLETED",
        "north (61): COMPLETED; waited for afterok prepare (60)",
        "south (62): FAILED, exit code 3; waited for afterok prepare (60)",
        "merge (63): CANCELLED; waited for afterok north (61), afterok south (62)",
        "clean-up (64): COMPLETED; waited for afternotok south (62), afterany prepare (60)",
    ]
    assert plots.describe_dependency_graph([], []) == "No jobs."


def test_boxes_and_arrows_are_drawn() -> None:
    picture = plots.dependency_graph(DIAMOND, EDGES)
    boxes = [patch for patch in picture.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    arrows = [patch for patch in picture.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    assert (len(boxes), len(arrows)) == (5, 6)
    assert [len(set(re.findall(kind, texts(picture)))) for kind in ("afterok", "afternotok", "afterany")] == [
        1,
        1,
        1,
    ]
    (left, right), (low, high) = picture.axes[0].get_xlim(), sorted(picture.axes[0].get_ylim())
    for box in boxes:
        assert left <= box.get_x() and box.get_x() + box.get_width() <= right
        assert low <= box.get_y() and box.get_y() + box.get_height() <= high


def test_array_is_one_box_and_unknown_job_an_empty_box() -> None:
    tasks = [
        job(f"71_{index}", "sweep", "FAILED" if index == 3 else "COMPLETED", 0, 1, 2) for index in range(8)
    ]
    edges = [(f"71_{index}", "72", "afterok") for index in range(8)] + [("9", "71", "afterany")]
    words = plots.describe_dependency_graph([*tasks, job("72", "end", "PENDING", 0)], edges)
    assert words.splitlines() == [
        "sweep (71): 7 COMPLETED, 1 FAILED; waited for afterany another job (9)",
        "end (72): PENDING; waited for afterok sweep (71)",
        "another job (9): not shown",
    ]


def test_every_job_is_right_of_its_dependencies() -> None:
    nodes = [box.id for box in DIAMOND]
    pairs = [(first, then) for first, then, _ in EDGES]
    places, routes = graph_layout.place_nodes(nodes, pairs)
    assert all(places[first][0] < places[then][0] for first, then in pairs)
    assert len(set(places.values())) == len(nodes)
    assert [x for x, _ in routes["60", "64"]] == [0, 1, 2]  # it has a place in the column between
    assert routes["60", "64"][1] not in places.values()


def test_avoidable_crossings_are_avoided() -> None:
    places, _ = graph_layout.place_nodes(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    assert (places["a"][1] < places["b"][1]) == (places["y"][1] < places["x"][1])


def test_cycle_terminates() -> None:
    places, _ = graph_layout.place_nodes(["a", "b"], [("a", "b"), ("b", "a")])
    assert len(places) == 2
    picture = plots.dependency_graph(
        JOBS, [("1", "2", "afterok"), ("2", "1", "afterok"), ("3", "3", "after")]
    )
    assert picture.description.splitlines()[2] == "c (3): RUNNING"  # a job does not wait for itself


# ---- request against use ---------------------------------------------------------------------


def test_usage_description() -> None:
    assert plots.describe_request_against_use(USES).splitlines() == [
        "tight (1): CPUs 1.9 of 2 (95 %)",
        "tight (1): memory 90 MiB of 100 MiB (90 %)",
        "tight (1): time 50 s of 1 min (83 %)",
        "loose (2): CPUs 0.4 of 4 (10 %)",
        "loose (2): memory 128 MiB of 1 GiB (12 %)",
        "loose (2): time 36 s of 1 h (1 %)",
    ]
    unknown = Usage("x", cpus=1, memory=2**20, memory_used=None, elapsed=3)
    assert plots.describe_request_against_use([unknown]).splitlines() == [
        "x: CPUs not measured, of 1",
        "x: memory not measured, of 1 MiB",
    ]
    assert (
        plots.describe_request_against_use([Usage("x", time_limit=0, elapsed=3)])
        == "x: time 3 s, nothing requested"
    )


def test_usage_is_drawn_in_percent() -> None:
    picture = plots.request_against_use(
        [*USES, Usage("over (3)", memory=100, memory_used=125, time_limit=1, elapsed=9)]
    )
    used = [bar.get_width() for bar in picture.axes[0].patches if round(bar.get_height(), 2) == 0.36]  # type: ignore[attr-defined]
    assert [round(width) for width in used] == [95, 90, 83, 10, 12, 1, 125, 150]
    assert "9 s of 1 s (900 %)" in texts(picture)


# ---- sweep -----------------------------------------------------------------------------------


def test_sweep_description() -> None:
    assert plots.describe_sweep(ROWS, "lr", "loss") == (
        "loss against lr, 2 values from 0.25 to 0.5. Best (lowest): 0.25 at lr = 0.01. No value at lr = 1."
    )
    assert "Best (highest): 0.5 at lr = 0.1." in plots.describe_sweep(ROWS, "lr", "loss", best="max")
    assert plots.describe_sweep([], "lr", "loss") == "loss against lr: no values."
    rows = [{"kind": "tar", "rate": 23500, "node": 1}, {"kind": "files", "rate": 4900.5, "node": 2}]
    assert plots.describe_sweep(rows, "kind", "rate", by="node", best="max") == (
        "rate against kind, 2 values from 4900 to 23500. Best (highest): 23500 at kind = tar, node = 1."
    )


def test_the_best_point_has_a_ring_and_lines_go_through_means() -> None:
    rows = [{"x": x, "y": y} for x, y in [(1, 4.0), (2, 1.0), (2, 3.0), (4, 8.0)]]
    axes = plots.sweep(rows, "x", "y").axes[0]
    rings = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert [list(line.get_xydata()[0]) for line in rings] == [[2, 1]]  # type: ignore[index]
    assert [2, 2] in [list(point) for line in axes.lines for point in line.get_xydata()]  # type: ignore[union-attr]


def test_categories_keep_their_order() -> None:
    axes = plots.sweep([{"x": "tar", "y": 1}, {"x": "files", "y": 2}], "x", "y").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["tar", "files"]


def test_logarithmic_axis_needs_positive_values() -> None:
    assert plots.sweep(ROWS, "lr", "loss", log_x=True).axes[0].get_xscale() == "log"
    assert (
        plots.sweep([{"x": 0, "y": 1}, {"x": 1, "y": 1}], "x", "y", log_x=True).axes[0].get_xscale()
        == "linear"
    )


def test_invalid_sweep_raises() -> None:
    with pytest.raises(UsageError, match=r"no column 'acc'\nThe columns are: lr, loss\."):
        plots.sweep(ROWS, "lr", "acc")
    with pytest.raises(UsageError, match="best='least'"):
        plots.sweep(ROWS, "lr", "loss", best="least")
