"""Layout of graphs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aiida_autopipec.cli.graph_layout import lay_out


def random_graph(seed: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Return 40 nodes and some links that make no cycle."""
    pairs = np.argwhere(np.triu(np.random.default_rng(seed).random((40, 40)) < 0.08, k=1))
    return [str(number) for number in range(40)], [(str(a), str(b)) for a, b in pairs]


def test_links_run_from_left_to_right() -> None:
    """Every link ends in a later layer, for random graphs."""
    nodes, links = random_graph(1)
    layer = lay_out(nodes, links).layer
    assert all(layer[source] < layer[target] for source, target in links)


def test_nodes_do_not_overlap() -> None:
    """Nodes of a layer are at least one height apart, and none is above the top."""
    nodes, links = random_graph(2)
    layout = lay_out(nodes, links)
    for column in range(max(layout.layer.values()) + 1):
        heights = sorted(layout.height[node] for node in nodes if layout.layer[node] == column)
        assert all(b - a > 1 - 1e-9 for a, b in pairwise(heights))
    assert min(layout.height.values()) >= 0


def test_sources_stand_beside_their_first_use() -> None:
    """Settings that are used late stand late, not in the first layer."""
    layer = lay_out(['a', 'b', 'c', 'settings'], [('a', 'b'), ('b', 'c'), ('settings', 'c')]).layer
    assert layer == {'a': 0, 'b': 1, 'c': 2, 'settings': 1}


def test_crossings_are_avoided() -> None:
    """Two pairs given in crossing order are drawn without a crossing."""
    layout = lay_out(['a', 'b', 'x', 'y'], [('a', 'y'), ('b', 'x')])
    assert (layout.height['a'] - layout.height['b']) * (layout.height['y'] - layout.height['x']) > 0


def test_long_links_pass_the_layers_between() -> None:
    """A link over a layer has a point in it that keeps away from the node there."""
    layout = lay_out(['a', 'b', 'c'], [('a', 'b'), ('b', 'c'), ('a', 'c')])
    ((column, height),) = layout.routes['a', 'c']
    assert column == layout.layer['b']
    assert abs(height - layout.height['b']) > 0.5


def test_cycles_and_loose_ends_are_refused() -> None:
    """A cycle and a link to nowhere raise."""
    with pytest.raises(ValueError, match='cycle'):
        lay_out(['a', 'b'], [('a', 'b'), ('b', 'a')])
    with pytest.raises(ValueError, match='`c`, which is no node'):
        lay_out(['a'], [('a', 'c')])


def test_empty_graph() -> None:
    """Nothing has a layout, too."""
    assert lay_out([], []).layer == {}
