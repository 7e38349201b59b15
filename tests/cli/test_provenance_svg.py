"""Graphs as pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from aiida_autopipec.cli.provenance_svg import KINDS, GraphNode, render_svg

NODES = [
    GraphNode('1', 'structures <raw> & more', 'a.extxyz', 'file'),
    GraphNode('2', 'import', '0.1 s', 'function'),
    GraphNode('3', 'dataset', '10 structures', 'dataset'),
]
SPACE = '{http://www.w3.org/2000/svg}'


def test_is_wellformed_and_complete() -> None:
    """The picture is XML, with all texts, all links, and a legend for the kinds that occur and no others."""
    root = ET.fromstring(render_svg(NODES, [('1', '2'), ('2', '3')], title='A & B'))  # noqa: S314
    texts = [element.text for element in root.iter(f'{SPACE}text')]
    assert {'A & B', 'structures <raw> & more', 'import', 'dataset', '10 structures'} <= set(texts)
    assert {KINDS[kind].legend for kind in ('file', 'function', 'dataset')} <= set(texts)
    assert KINDS['job'].legend not in texts
    assert sum('marker-end' in path.attrib for path in root.iter(f'{SPACE}path')) == 2


def test_everything_is_inside() -> None:
    """No box reaches over the edge of the picture."""
    root = ET.fromstring(render_svg(NODES, [('1', '2'), ('2', '3')], title='T'))  # noqa: S314
    width, height = float(root.attrib['width']), float(root.attrib['height'])
    for box in (box for group in root.iter(f'{SPACE}g') for box in group.iter(f'{SPACE}rect')):
        assert float(box.attrib['x']) >= 0
        assert float(box.attrib['x']) + float(box.attrib['width']) <= width
        assert float(box.attrib['y']) >= 0
        assert float(box.attrib['y']) + float(box.attrib['height']) <= height


def test_same_graph_same_picture() -> None:
    """The picture depends on the graph alone."""
    assert render_svg(NODES, [('1', '2')], title='T') == render_svg(NODES, [('1', '2')], title='T')
