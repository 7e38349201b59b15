"""A graph as a picture: nodes and links in, SVG out, without a program such as `dot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from xml.sax.saxutils import escape

from aiida_autopipec.cli.graph_layout import Layout, lay_out

NODE_HEIGHT = 46.0
ROW = 62.0
"""Pixels from one node to the next below it."""
GAP = 52.0
"""Pixels between columns."""
ARROW = 8.0
"""Pixels that a link is level for before it ends."""
MARGIN = 28.0
HEADER = 84.0
"""Pixels for title and legend."""
CHARACTER = 7.1
"""Width of a character of a title in pixels, on the wide side: fonts differ."""
SMALL_CHARACTER = 5.9


@dataclass(frozen=True)
class Kind:
    """How nodes of a kind look.

    :param legend: what the legend says.
    :param radius: of the corners, in pixels.
    """

    legend: str
    fill: str
    stroke: str
    radius: float


@dataclass(frozen=True)
class GraphNode:
    """A node.

    :param key: unique.
    :param kind: a key of :data:`KINDS`.
    """

    key: str
    title: str
    subtitle: str
    kind: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        'dataset': Kind('dataset', '#d7f0ea', '#1b8a70', 18),
        'file': Kind('file', '#dbe9fb', '#2f6fbf', 18),
        'data': Kind('settings and numbers', '#eef0f2', '#7b8794', 18),
        'code': Kind('code', '#ece3f7', '#7a4fb5', 18),
        'function': Kind('calculation function', '#fdeccb', '#b7791f', 4),
        'job': Kind('calculation job', '#fbd9d3', '#c2452d', 4),
    }
)


def render_svg(nodes: Sequence[GraphNode], links: Sequence[tuple[str, str]], *, title: str) -> str:
    """Return a picture of a directed acyclic graph, from left to right.

    :param links: pairs of the keys of source and target.
    :raises ValueError: if a link has an end that is no node, or the graph has a cycle.
    """
    layout = lay_out([node.key for node in nodes], links)
    widths = _column_widths(nodes, layout)
    left = [MARGIN + sum(widths[:column]) + GAP * column for column in range(len(widths))]
    boxes = {node.key: _text_width(node) for node in nodes}
    width = max(left[-1] + widths[-1] + MARGIN if widths else 0.0, _legend_width(nodes, title))
    rows = max(layout.height.values(), default=0.0) + 0.5
    deepest = max((height for route in layout.routes.values() for _, height in route), default=0.0)
    height = HEADER + ROW * max(rows, deepest + 0.5) + MARGIN
    body = [
        *_legend(nodes, title),
        *(_link(link, layout, left, widths, boxes) for link in dict.fromkeys(links)),
        *(_node(node, layout, left, widths) for node in nodes),
    ]
    return '\n'.join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" '
            "font-family=\"'DejaVu Sans', Verdana, 'Segoe UI', Helvetica, sans-serif\">",
            f'<title>{escape(title)}</title>',
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0,0.8 L8,4 L0,7.2 z" fill="#8a949e"/></marker></defs>',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *body,
            '</svg>\n',
        ]
    )


def _text_width(node: GraphNode) -> float:
    return 24 + max(CHARACTER * len(node.title), SMALL_CHARACTER * len(node.subtitle))


def _column_widths(nodes: Sequence[GraphNode], layout: Layout) -> list[float]:
    widths = [0.0] * (max(layout.layer.values(), default=-1) + 1)
    for node in nodes:
        column = layout.layer[node.key]
        widths[column] = max(widths[column], _text_width(node))
    return widths


def _y(height: float) -> float:
    return HEADER + ROW * height


def _node(node: GraphNode, layout: Layout, left: Sequence[float], widths: Sequence[float]) -> str:
    kind = KINDS[node.kind]
    column = layout.layer[node.key]
    width = _text_width(node)
    x, y = left[column] + (widths[column] - width) / 2, _y(layout.height[node.key])
    middle = x + width / 2
    return (
        f'<g><title>{escape(f"{node.title}: {node.subtitle} ({node.key})")}</title>'
        f'<rect x="{x:.1f}" y="{y - NODE_HEIGHT / 2:.1f}" width="{width:.1f}" height="{NODE_HEIGHT:.0f}" '
        f'rx="{kind.radius:g}" fill="{kind.fill}" stroke="{kind.stroke}" stroke-width="1.4"/>'
        f'<text x="{middle:.1f}" y="{y - 3:.1f}" text-anchor="middle" font-size="12" font-weight="600" '
        f'fill="#1f2933">{escape(node.title)}</text>'
        f'<text x="{middle:.1f}" y="{y + 13:.1f}" text-anchor="middle" font-size="10" '
        f'fill="#52606d">{escape(node.subtitle)}</text></g>'
    )


def _link(
    link: tuple[str, str],
    layout: Layout,
    left: Sequence[float],
    widths: Sequence[float],
    boxes: Mapping[str, float],
) -> str:
    """Return a smooth curve from box to box that passes the layers between its ends level."""
    source, target = link
    column = layout.layer[source]
    x, y = left[column] + widths[column], _y(layout.height[source])
    path = [f'M{x - (widths[column] - boxes[source]) / 2:.1f},{y:.1f} H{x:.1f}']
    for passed, height in layout.routes[link]:
        path.append(_curve(x, y, left[passed], _y(height)))
        x, y = left[passed] + widths[passed], _y(height)
        path.append(f'H{x:.1f}')
    column = layout.layer[target]
    path.append(_curve(x, y, left[column] - ARROW, _y(layout.height[target])))
    path.append(f'H{left[column] + (widths[column] - boxes[target]) / 2 - 1:.1f}')
    return (
        f'<path d="{" ".join(path)}" fill="none" stroke="#8a949e" stroke-width="1.3" '
        'stroke-linejoin="round" marker-end="url(#arrow)"/>'
    )


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (x + to_x) / 2
    return f'C{bend:.1f},{y:.1f} {bend:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}'


def _kinds_of(nodes: Sequence[GraphNode]) -> list[Kind]:
    present = {node.kind for node in nodes}
    return [kind for name, kind in KINDS.items() if name in present]


def _legend_width(nodes: Sequence[GraphNode], title: str) -> float:
    entries = sum(46 + SMALL_CHARACTER * 1.1 * len(kind.legend) for kind in _kinds_of(nodes))
    return 2 * MARGIN + max(entries, 10.5 * len(title))


def _legend(nodes: Sequence[GraphNode], title: str) -> list[str]:
    lines = [
        f'<text x="{MARGIN:.0f}" y="34" font-size="17" font-weight="700" fill="#1f2933">{escape(title)}</text>',
    ]
    x = MARGIN
    for kind in _kinds_of(nodes):
        lines.append(
            f'<rect x="{x:.1f}" y="48" width="22" height="14" rx="{min(kind.radius, 7):g}" fill="{kind.fill}" '
            f'stroke="{kind.stroke}" stroke-width="1.2"/>'
            f'<text x="{x + 28:.1f}" y="59" font-size="11" fill="#52606d">{escape(kind.legend)}</text>'
        )
        x += 46 + SMALL_CHARACTER * 1.1 * len(kind.legend)
    return lines
