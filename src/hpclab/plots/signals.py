"""Who lived how long, and which signal reached whom: a line for each process, a mark for each moment."""

from __future__ import annotations

from collections.abc import Sequence

from hpclab.plots.picture import FAINT, INK, Picture, bare, printable, wrapped

Event = tuple[str, float, str]  # who, seconds, what
ENDS = ("start", "end")
USUAL = ("SIGUSR1", "SIGTERM", "SIGCONT", "saved")
_MARKS = (
    ("o", "#1f5a7a"),
    ("s", "#b0561f"),
    ("^", "#7d3f8c"),
    ("D", "#4f7a28"),
    ("v", "#8c1c13"),
    ("P", "#222222"),
)


@wrapped
def describe_signals(events: Sequence[Event]) -> str:
    """The picture in words, a line for each process; it takes what ``signals`` takes."""
    rows, began = _rows(events), min((time for _, time, _ in events), default=0.0)
    return (
        "\n".join(f"{printable(who)}: {_story(found, began)}." for who, found in rows.items()) or "No events."
    )


def signals(events: Sequence[Event]) -> Picture:
    """For each process a line from its "start" to its "end", with a mark for everything else that it went through.

    ``events`` are (who, time in seconds, what), in any order: ``("batch shell", 1700000000.2, "SIGUSR1")``. Time counts
    from the first of them. A process that starts again has two lines; one without an "end" goes on dotted after its last
    mark, to its next start or to the end of the picture.
    """
    rows = _rows(events)
    picture = Picture(describe_signals(events), 7.6, 1.5 + 0.42 * max(len(rows), 1))
    axes = picture.subplots()
    began = min((time for _, time, _ in events), default=0.0)
    over = max((time for _, time, _ in events), default=0.0)
    over += max(0.04 * (over - began), 0.2)
    seen = dict.fromkeys(what for _, _, what in sorted(events, key=lambda one: one[1]) if what not in ENDS)
    # The usual ones look alike in all pictures of a lab.
    kinds = [*USUAL, *(what for what in seen if what not in USUAL)]
    for line, found in enumerate(rows.values()):
        lives = _lives(found)
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
            label=printable(kind, 24),
            zorder=3,
        )
    axes.set_yticks(range(len(rows)), [printable(who, 28) for who in rows])
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    axes.set_xlabel("seconds", color=INK)
    axes.grid(axis="x", color="#e8e8e8", linewidth=0.7)
    axes.set_axisbelow(True)
    bare(axes)
    if seen:
        picture.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=min(len(seen), 6))
    if not rows:
        axes.text(0.5, 0.5, "no events", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    return picture


def _rows(events: Sequence[Event]) -> dict[str, list[tuple[float, str]]]:
    """What happened to whom, in the order of time; the processes in the order in which they were named."""
    rows: dict[str, list[tuple[float, str]]] = {}
    for who, time, what in events:
        rows.setdefault(who, []).append((time, what))
    return {who: sorted(found) for who, found in rows.items()}


def _lives(found: Sequence[tuple[float, str]]) -> list[tuple[float, float, bool]]:
    """From each "start" to the last moment that is known before the next one, and whether that was an "end"."""
    lives: list[tuple[float, float, bool]] = []
    for time, what in found:
        if what == "start" or not lives:
            lives.append((time, time, False))
        lives[-1] = lives[-1][0], time, lives[-1][2] or what == "end"
    return lives


def _story(found: Sequence[tuple[float, str]], began: float) -> str:
    said = ", ".join(f"{printable(what, 40)} at {time - began:.1f} s" for time, what in found)
    return said if _lives(found)[-1][2] else f"{said}, then nothing more"
