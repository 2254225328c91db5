"""Lifetimes of processes and the signals that they received: a line for each process, a mark for each event."""

from __future__ import annotations

from collections.abc import Sequence

from hpclab.plots.picture import FAINT, INK, Picture, hide_spines, to_printable, wrap_lines

Event = tuple[str, float, str]  # process, time in seconds, event
LIFE_EVENTS = ("start", "end")
COMMON_EVENTS = ("SIGUSR1", "SIGTERM", "SIGCONT", "saved")
_MARKS = (
    ("o", "#1f5a7a"),
    ("s", "#b0561f"),
    ("^", "#7d3f8c"),
    ("D", "#4f7a28"),
    ("v", "#8c1c13"),
    ("P", "#222222"),
)


@wrap_lines
def describe_signals(events: Sequence[Event]) -> str:
    """Describe the plot of ``signals``: one line for each process."""
    rows, began = _group_events(events), min((time for _, time, _ in events), default=0.0)
    return (
        "\n".join(f"{to_printable(who)}: {_describe_process(found, began)}." for who, found in rows.items())
        or "No events."
    )


def signals(events: Sequence[Event]) -> Picture:
    """Plot a line for each process from its "start" to its "end", with a mark for every other event.

    ``events`` are (process, time in seconds, event) in any order: ``("batch shell", 1700000000.2, "SIGUSR1")``. The
    time axis begins at the first one. A process that starts again has two lines; without an "end" its line is dotted
    from its last event to its next start or to the end of the plot.
    """
    rows = _group_events(events)
    picture = Picture(describe_signals(events), 7.6, 1.5 + 0.42 * max(len(rows), 1))
    axes = picture.subplots()
    began = min((time for _, time, _ in events), default=0.0)
    over = max((time for _, time, _ in events), default=0.0)
    over += max(0.04 * (over - began), 0.2)
    seen = dict.fromkeys(
        what for _, _, what in sorted(events, key=lambda event: event[1]) if what not in LIFE_EVENTS
    )
    # Common events have the same marker in all plots of a lab.
    kinds = [*COMMON_EVENTS, *(what for what in seen if what not in COMMON_EVENTS)]
    for line, found in enumerate(rows.values()):
        lives = _find_lifetimes(found)
        for (first, last, ended), following in zip(lives, [*lives[1:], (over, over, True)], strict=True):
            place = [first - began, last - began]
            axes.plot(place, [line, line], color="#bdbdbd", linewidth=5, zorder=1, solid_capstyle="butt")
            axes.plot(place[:1], [line], marker="|", markersize=9, color=FAINT, zorder=2)
            if not ended:
                place = [last - began, following[0] - began]
                axes.plot(place, [line, line], color=FAINT, linewidth=1.5, linestyle=":", zorder=1)
        for time, what in found:
            if what == "end":
                axes.plot(
                    [time - began], [line], marker="|", markersize=14, markeredgewidth=2, color=INK, zorder=2
                )
    for index, kind in enumerate(kinds):
        if kind not in seen:
            continue
        shape, shade = _MARKS[index % len(_MARKS)]
        places = [
            (time - began, line)
            for line, found in enumerate(rows.values())
            for time, what in found
            if what == kind
        ]
        axes.plot(
            [time for time, _ in places],
            [line + 0.14 * (list(seen).index(kind) - (len(seen) - 1) / 2) for _, line in places],
            linestyle="",
            marker=shape,
            markersize=8,
            markeredgecolor="white",
            color=shade,
            label=to_printable(kind, 24),
            zorder=3,
        )
    axes.set_yticks(range(len(rows)), [to_printable(who, 28) for who in rows])
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    axes.set_xlabel("seconds", color=INK)
    axes.grid(axis="x", color="#e8e8e8", linewidth=0.7)
    axes.set_axisbelow(True)
    hide_spines(axes)
    if seen:
        picture.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=min(len(seen), 6))
    if not rows:
        axes.text(0.5, 0.5, "no events", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    return picture


def _group_events(events: Sequence[Event]) -> dict[str, list[tuple[float, str]]]:
    """The events of each process, sorted by time; the processes in their order in ``events``."""
    rows: dict[str, list[tuple[float, str]]] = {}
    for who, time, what in events:
        rows.setdefault(who, []).append((time, what))
    return {who: sorted(found) for who, found in rows.items()}


def _find_lifetimes(found: Sequence[tuple[float, str]]) -> list[tuple[float, float, bool]]:
    """The lifetimes (start, last event, whether it ended) between one "start" and the next."""
    lives: list[tuple[float, float, bool]] = []
    for time, what in found:
        if what == "start" or not lives:
            lives.append((time, time, False))
        lives[-1] = lives[-1][0], time, lives[-1][2] or what == "end"
    return lives


def _describe_process(found: Sequence[tuple[float, str]], began: float) -> str:
    text = ", ".join(f"{to_printable(what, 40)} at {time - began:.1f} s" for time, what in found)
    return text if _find_lifetimes(found)[-1][2] else f"{text}, then nothing more"
