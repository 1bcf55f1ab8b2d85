"""Coordinates of what templates draw as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explorer.figures import Picture
from explorer.views.text import ether, short

_LEFT, _RIGHT, _WIDTH, _GAP, _SCALE = 250, 590, 840, 14, 190
_ROW, _BOX = 46, 300


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class Line:
    """`path`: SVG path data; `width` in pixels."""

    path: str
    width: float
    label: str = ""


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[Line]


def flow_drawing(found: Sequence[tuple[str, str, int]]) -> Drawing:
    """Sources left, targets right, bands as wide as the square root of what flowed, so that small ones are seen."""
    flows = [(source, target, amount) for source, target, amount in found if amount > 0]
    most = max((amount for _, _, amount in flows), default=1)
    widths = [max(3.0, 40 * math.sqrt(amount / most)) for _, _, amount in flows]
    sources, left = _column([flow[0] for flow in flows], widths, _LEFT - 12)
    targets, right = _column([flow[1] for flow in flows], widths, _RIGHT)
    lines = []
    for (source, target, amount), width in zip(flows, widths, strict=True):
        top, bottom = left[source] + width / 2, right[target] + width / 2
        left[source], right[target] = left[source] + width, right[target] + width
        middle = (_LEFT + _RIGHT) / 2
        path = f"M {_LEFT} {top:.1f} C {middle} {top:.1f}, {middle} {bottom:.1f}, {_RIGHT} {bottom:.1f}"
        lines.append(Line(path, width, f"{_name(source)} to {_name(target)}: {ether(amount)}"))
    height = max((box.y + box.height for box in [*sources, *targets]), default=20) + 10
    return Drawing(_WIDTH, math.ceil(height), [*sources, *targets], lines)


def _column(names: Sequence[str], widths: Sequence[float], x: float) -> tuple[list[Box], dict[str, float]]:
    heights: dict[str, float] = {}
    for name, width in zip(names, widths, strict=True):
        heights[name] = heights.get(name, 0) + width
    boxes, starts, y = [], {}, 10.0
    for name, height in heights.items():
        boxes.append(Box(x, y, 12, height, _name(name)))
        starts[name] = y
        y += max(height, 16) + _GAP
    return boxes, starts


def _name(place: str) -> str:
    return short(place) if place.startswith("0x") else place


def graph_drawing(data: dict[str, Any]) -> Drawing:
    """Boxes one below the other; an edge that skips some goes around them."""
    nodes, edges = data["nodes"], data["edges"]
    boxes = [Box(60, 10 + _ROW * i, _BOX, 28, label) for i, label in enumerate(nodes)]
    lines = []
    for start, end in edges:
        top, bottom = 38 + _ROW * start, 10 + _ROW * end
        if end == start + 1:
            lines.append(Line(f"M 210 {top} L 210 {bottom}", 2))
        else:
            side = 360 + min(120, 12 * (end - start))
            lines.append(Line(f"M 360 {top - 14} C {side} {top}, {side} {bottom}, 360 {bottom + 14}", 2))
    return Drawing(520, 20 + _ROW * len(nodes), boxes, lines)


def merkle_drawing(leaves: int) -> Drawing:
    """The tree over so many leaves; an odd node moves up a level."""
    levels = [leaves]
    while levels[-1] > 1:
        levels.append((levels[-1] + 1) // 2)
    boxes, lines, places = [], [], {}
    for depth, count in enumerate(levels):
        y = 10 + 60 * (len(levels) - 1 - depth)
        for i in range(count):
            x = (i + 0.5) * 800 / count
            places[depth, i] = (x, y)
            label = "root" if count == 1 and depth else f"leaf {i}" if not depth else ""
            boxes.append(Box(x - 34, y, 68, 26, label))
            if depth:
                lines += [
                    Line(_edge(places[depth - 1, j], (x, y)), 2) for j in (2 * i, 2 * i + 1) if j < levels[depth - 1]
                ]
    return Drawing(800, 60 * len(levels), boxes, lines)


def _edge(below: tuple[float, float], above: tuple[float, float]) -> str:
    return f"M {below[0]:.1f} {below[1]} L {above[0]:.1f} {above[1] + 26}"


def drawing_of(part: Picture) -> Drawing:
    """Of the kinds that are drawings."""
    if part.kind == "flows":
        return flow_drawing(part.data["flows"])
    if part.kind == "graph":
        return graph_drawing(part.data)
    return merkle_drawing(len(part.data["leaves"]))
