"""Layered layout of a directed acyclic graph, from left to right.

The method of Sugiyama, Tagawa and Toda (IEEE Trans. Syst. Man Cybern. 11, 109, 1981): layers by longest paths, dummy
vertices where a link passes a layer, order within layers by barycentres. Heights are then the least-squares closest to
those of the neighbours that keep the order and the distances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 24
DUMMY_HEIGHT = 0.35
"""Height of a link that passes a layer, in heights of a node."""

Vertex = tuple[str, int]
"""A node, at its layer; or a dummy of a link at a layer that it passes."""


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    :param layer: column of each node, from 0.
    :param height: vertical position of the middle of each node, in heights of a node, from 0.
    :param routes: for each link the ``(layer, height)`` of the layers that it passes, its ends not included.
    """

    layer: Mapping[str, int]
    height: Mapping[str, float]
    routes: Mapping[tuple[str, str], Sequence[tuple[int, float]]]


def lay_out(nodes: Sequence[str], links: Sequence[tuple[str, str]]) -> Layout:
    """Place the nodes of a graph.

    :param nodes: unique keys; their order decides where nothing else does.
    :param links: pairs of source and target.
    :raises ValueError: if a link has an end that is no node, or the graph has a cycle.
    """
    unknown = sorted({end for link in links for end in link} - set(nodes))
    if unknown:
        raise ValueError(f'a link ends at `{unknown[0]}`, which is no node')
    links = list(dict.fromkeys(links))
    layer = _layers(nodes, links)
    chains = {link: _chain(link, layer) for link in links}
    columns: list[list[Vertex]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node in nodes:
        columns[layer[node]].append((node, layer[node]))
    for chain in chains.values():
        for vertex in chain[1:-1]:
            columns[vertex[1]].append(vertex)
    before, after = _neighbours(chains.values())
    _order(columns, before, after)
    heights = _heights(columns, before, after, set(nodes))
    return Layout(
        layer=layer,
        height={node: heights[(node, layer[node])] for node in nodes},
        routes={link: [(vertex[1], heights[vertex]) for vertex in chain[1:-1]] for link, chain in chains.items()},
    )


def _layers(nodes: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the length of the longest path to each node; sources stand just before the first that uses them."""
    incoming: dict[str, list[str]] = {node: [] for node in nodes}
    outgoing: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in links:
        incoming[target].append(source)
        outgoing[source].append(target)
    layer: dict[str, int] = {}
    waiting = {node: len(incoming[node]) for node in nodes}
    ready = [node for node in nodes if waiting[node] == 0]
    while ready:
        node = ready.pop(0)
        layer[node] = max((layer[source] + 1 for source in incoming[node]), default=0)
        for target in outgoing[node]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if len(layer) < len(nodes):
        raise ValueError('the graph has a cycle')
    for node in nodes:
        if not incoming[node] and outgoing[node]:
            layer[node] = min(layer[target] for target in outgoing[node]) - 1
    return layer


def _chain(link: tuple[str, str], layer: Mapping[str, int]) -> list[Vertex]:
    source, target = link
    name = f'{source}\n{target}'
    passed = [(name, column) for column in range(layer[source] + 1, layer[target])]
    return [(source, layer[source]), *passed, (target, layer[target])]


Neighbours = dict[Vertex, list[Vertex]]


def _neighbours(chains: Iterable[Sequence[Vertex]]) -> tuple[Neighbours, Neighbours]:
    before: Neighbours = {}
    after: Neighbours = {}
    for chain in chains:
        for left, right in pairwise(chain):
            before.setdefault(right, []).append(left)
            after.setdefault(left, []).append(right)
    return before, after


def _order(columns: list[list[Vertex]], before: Neighbours, after: Neighbours) -> None:
    """Sort each layer by the mean place of its neighbours, to and fro, and keep the order with fewest crossings."""
    best, fewest = [list(column) for column in columns], _crossings(columns, after)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        neighbours = before if forward else after
        places = {vertex: place for column in columns for place, vertex in enumerate(column)}
        for column in columns if forward else reversed(columns):
            centre = {
                vertex: _mean([places[other] for other in neighbours.get(vertex, [])], places[vertex])
                for vertex in column
            }
            column.sort(key=lambda vertex: centre[vertex])
            places.update({vertex: place for place, vertex in enumerate(column)})
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    for column, ordered in zip(columns, best, strict=True):
        column[:] = ordered


def _crossings(columns: Sequence[Sequence[Vertex]], after: Neighbours) -> int:
    place = {vertex: index for column in columns for index, vertex in enumerate(column)}
    total = 0
    for column in columns:
        ends = [(place[vertex], place[other]) for vertex in column for other in after.get(vertex, [])]
        total += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


def _heights(
    columns: Sequence[Sequence[Vertex]], before: Neighbours, after: Neighbours, nodes: set[str]
) -> dict[Vertex, float]:
    """Return heights that straighten the links as far as the order and the distances allow."""
    size = {vertex: 1.0 if vertex[0] in nodes else DUMMY_HEIGHT for column in columns for vertex in column}
    heights: dict[Vertex, float] = {}
    for column in columns:
        offsets = _offsets([size[vertex] for vertex in column])
        middle = offsets[-1] / 2 if offsets else 0.0
        heights.update({vertex: offset - middle for vertex, offset in zip(column, offsets, strict=True)})
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = [
                _mean([heights[other] for other in before.get(vertex, []) + after.get(vertex, [])], heights[vertex])
                for vertex in column
            ]
            heights.update(zip(column, _separate(wanted, [size[vertex] for vertex in column]), strict=True))
    top = min((heights[vertex] - size[vertex] / 2 for vertex in heights), default=0.0)
    return {vertex: height - top for vertex, height in heights.items()}


def _offsets(sizes: Sequence[float]) -> list[float]:
    """Return the middles of a stack."""
    offsets: list[float] = []
    for index, size in enumerate(sizes):
        offsets.append(offsets[-1] + (sizes[index - 1] + size) / 2 if index else 0.0)
    return offsets


def _separate(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Return the heights closest to those wanted that keep the order and do not overlap.

    Least squares under order constraints: pool adjacent violators of what remains after the stack is subtracted.
    """
    offsets = _offsets(sizes)
    pools: list[tuple[float, int]] = []
    for height, offset in zip(wanted, offsets, strict=True):
        mean, count = height - offset, 1
        while pools and pools[-1][0] > mean:
            other, number = pools.pop()
            mean, count = (mean * count + other * number) / (count + number), count + number
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=True)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
