"""The layout of a directed graph: layers from left to right, each ordered to have few crossings.

The three steps of Sugiyama's method in a simple form: a node is placed to the right of everything that it waits
for; an edge over several layers gets a point in each; the order follows the neighbours' average position.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Point = tuple[float, float]
Pair = tuple[str, str]
SWEEPS = 8


def place_nodes(
    nodes: Sequence[str], edges: Sequence[Pair]
) -> tuple[dict[str, Point], dict[Pair, list[Point]]]:
    """Return (column, row) of each node, and the points that each edge passes through."""
    layer = _assign_layers(nodes, edges)
    chains = {edge: _split_edge(edge, layer) for edge in edges}
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


def _assign_layers(nodes: Sequence[str], edges: Sequence[Pair]) -> dict[str, int]:
    """The longest path to each node. A cycle, which Slurm does not allow, ends after as many steps as nodes."""
    layer = dict.fromkeys(nodes, 0)
    for _ in nodes:
        moved = False
        for first, then in edges:
            if layer[then] <= layer[first] < len(nodes) - 1:
                layer[then], moved = layer[first] + 1, True
        if not moved:
            break
    return layer


def _split_edge(edge: Pair, layer: dict[str, int]) -> list[str]:
    """The names of the edge's points: its nodes, and one name for each layer between them."""
    first, then = edge
    between = range(layer[first] + 1, layer[then])
    return [first, *(f"{first} > {then} @ {step}" for step in between), then]


def _reorder(columns: dict[int, list[str]], links: Sequence[Pair], *, forwards: bool) -> None:
    """Sort each column by the average position of its neighbours in the previous (or next) column."""
    for number in sorted(columns, reverse=not forwards):
        neighbours = columns.get(number - 1 if forwards else number + 1, [])
        middle = (len(neighbours) - 1) / 2
        # Counted from the middle, because columns are centred.
        position = {name: index - middle for index, name in enumerate(neighbours)}
        own = {name: index - (len(columns[number]) - 1) / 2 for index, name in enumerate(columns[number])}
        neighbour_positions: dict[str, list[float]] = {}
        for first, then in links:
            node, neighbour = (then, first) if forwards else (first, then)
            if node in own and neighbour in position:
                neighbour_positions.setdefault(node, []).append(position[neighbour])
        columns[number].sort(
            key=lambda name: (
                sum(neighbour_positions[name]) / len(neighbour_positions[name])
                if name in neighbour_positions
                else own[name]
            )
        )
