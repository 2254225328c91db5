"""Where the boxes of a graph stand: layers from left to right, in each an order with few crossings.

The usual three steps of Sugiyama's method, in their simplest form: a box stands right of everything it
waits for; an arrow over several layers gets a place in each; orders follow the neighbours' average.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Point = tuple[float, float]
Pair = tuple[str, str]
SWEEPS = 8


def place(nodes: Sequence[str], edges: Sequence[Pair]) -> tuple[dict[str, Point], dict[Pair, list[Point]]]:
    """(column, row) of each node, and for each edge the points that it goes through."""
    layer = _layers(nodes, edges)
    chains = {edge: _chain(edge, layer) for edge in edges}
    columns: dict[int, list[str]] = {}
    for node in nodes:
        columns.setdefault(layer[node], []).append(node)
    for chain in chains.values():
        for step, name in enumerate(chain[1:-1], layer[chain[0]] + 1):
            columns.setdefault(step, []).append(name)
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    for sweep in range(SWEEPS):
        _reorder(columns, links, forwards=sweep % 2 == 0)
    rows = {
        name: index - (len(column) - 1) / 2
        for column in columns.values()
        for index, name in enumerate(column)
    }
    column_of = {name: column for column, names in columns.items() for name in names}
    point = {name: (float(column_of[name]), rows[name]) for name in column_of}
    return {node: point[node] for node in nodes}, {
        edge: [point[name] for name in chain] for edge, chain in chains.items()
    }


def _layers(nodes: Sequence[str], edges: Sequence[Pair]) -> dict[str, int]:
    """The longest way to each node; a circle, which Slurm cannot make, is cut after as many steps as nodes."""
    layer = dict.fromkeys(nodes, 0)
    for _ in nodes:
        moved = False
        for first, then in edges:
            if layer[then] <= layer[first] < len(nodes) - 1:
                layer[then], moved = layer[first] + 1, True
        if not moved:
            break
    return layer


def _chain(edge: Pair, layer: dict[str, int]) -> list[str]:
    """The edge with a name of its own for each layer that it crosses."""
    first, then = edge
    between = range(layer[first] + 1, layer[then])
    return [first, *(f"{first} > {then} @ {step}" for step in between), then]


def _reorder(columns: dict[int, list[str]], links: Sequence[Pair], *, forwards: bool) -> None:
    """Sort each column by the average place of its neighbours in the column before (or behind) it."""
    for number in sorted(columns, reverse=not forwards):
        beside = columns.get(number - 1 if forwards else number + 1, [])
        middle = (len(beside) - 1) / 2
        # Counted from the middle of the column, since columns are centred.
        there = {name: index - middle for index, name in enumerate(beside)}
        own = {name: index - (len(columns[number]) - 1) / 2 for index, name in enumerate(columns[number])}
        wish: dict[str, list[float]] = {}
        for first, then in links:
            near, far = (then, first) if forwards else (first, then)
            if near in own and far in there:
                wish.setdefault(near, []).append(there[far])
        columns[number].sort(
            key=lambda name: sum(wish[name]) / len(wish[name]) if name in wish else own[name]
        )
