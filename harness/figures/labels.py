"""Texts beside points, at places where they cover neither a point nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

SIZE = 6  # font size in points
_MARK = 2.5  # half of a marker, in points
_AWAY = 4.5  # points between a text and any other point, to which it would otherwise seem to belong
_SPACE = (4, 1)  # points between texts, across and up
_LINED = 9  # distance in points; beyond it, a line leads from the point to its text


class Spot(NamedTuple):
    """A place for a text: where its corner (or side) stands relative to the point.

    Attributes
    ----------
    dx, dy : distance from the point, to the right and up, in points
    across, up : the corner or side of the text that stands there, as in matplotlib's alignments
    """

    dx: float
    dy: float
    across: Literal["left", "center", "right"]
    up: Literal["bottom", "center", "top"]

    def boxes(
        self, mark: Float[np.ndarray, " xy"], size: Float[np.ndarray, " xy"], pixels: float
    ) -> tuple[Bbox, list[Bbox]]:
        """The box that a text covers, and the boxes that the line to it covers, if it has one; in pixels.

        Parameters
        ----------
        mark
            The point, in pixels.
        size
            Width and height of the text, in pixels.
        pixels
            Pixels per point.
        """
        way = pixels * np.array([self.dx, self.dy])
        corner = mark + way - np.array(self.share) * size
        stops = mark + np.linspace(0.2, 1, 12)[:, None] * way
        return Bbox([corner, corner + size]), [Bbox([s - pixels, s + pixels]) for s in stops] if self.lined else []

    @property
    def share(self) -> tuple[float, float]:
        """The point of the text that stands at the place, as shares (0 to 1) of its width and height."""
        return ("left", "center", "right").index(self.across) / 2, ("bottom", "center", "top").index(self.up) / 2

    @property
    def lined(self) -> bool:
        """Whether a line leads from the point to the text, which is too far away to be attributed without one."""
        return bool(np.hypot(self.dx, self.dy) > _LINED)


def _spot(distance: int, angle: int) -> Spot:
    x, y = cos(radians(angle)), sin(radians(angle))
    across = "right" if x < -0.3 else "left" if x > 0.3 else "center"
    return Spot(distance * x, distance * y, across, "top" if y < -0.3 else "bottom" if y > 0.3 else "center")  # type: ignore[arg-type]


# Up and left first: beyond the front, where points would be cheaper and better, there are none.
_ANGLES = ((135, 110, 160, 180, 90), (45, 0, 270, 315))
SPOTS = [_spot(far, angle) for angles in _ANGLES for far in (5, 9, 14, 20, 27) for angle in angles]


def place(
    axes: Axes,
    points: Sequence[tuple[float, float, str]],
    others: Sequence[tuple[float, float]],
    lines: Sequence[Float[np.ndarray, "_ 2"]],
) -> None:
    """Label points (x, y, text) in their order, each at its first free place; a point without one has no label.

    A label covers no other label, no point, none of `others` (points without a text) and none of `lines` (the corners
    of lines that run parallel to the axes). Limits and layout of the axes must be settled.
    """
    if not points:
        return
    pixels = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    inside = axes.get_window_extent().padded(-_MARK * pixels)
    marks = axes.transData.transform([*((x, y) for x, y, _ in points), *others])
    taken: list[Bbox] = []
    for corners in map(axes.transData.transform, lines):
        ends = zip(np.minimum(corners[:-1], corners[1:]), np.maximum(corners[:-1], corners[1:]), strict=True)
        taken += [Bbox([low - pixels / 2, high + pixels / 2]) for low, high in ends]
    texts: list[Bbox] = []
    line = {"arrowstyle": "-", "linewidth": 0.4, "color": "0.5", "shrinkA": 0, "shrinkB": _MARK}
    for i, (x, y, text) in enumerate(points):
        mark, size = marks[i], _size(axes, text)
        around = [Bbox([other - _AWAY * pixels, other + _AWAY * pixels]) for other in np.delete(marks, i, axis=0)]
        for spot in SPOTS:
            box, leader = spot.boxes(mark, size, pixels)
            crosses = any(piece.count_overlaps(texts) for piece in leader)
            if _holds(inside, box) and not box.count_overlaps(taken + around) and not crosses:
                texts.append(box)
                taken += [box, *leader]
                arrow = {**line, "relpos": spot.share} if spot.lined else None
                label = axes.annotate(text, (x, y), (spot.dx, spot.dy), size=SIZE, arrowprops=arrow)
                label.set(anncoords="offset points", ha=spot.across, va=spot.up, in_layout=False)
                break


def _size(axes: Axes, text: str) -> Float[np.ndarray, " xy"]:
    """Width and height of a text with a little space around it, in pixels."""
    drawn = axes.text(0, 0, text, size=SIZE)
    size = np.array(drawn.get_window_extent().size)
    drawn.remove()
    return size + np.array(_SPACE) * axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]


def _holds(outer: Bbox, inner: Bbox) -> bool:
    return bool(np.all(outer.min <= inner.min) and np.all(inner.max <= outer.max))
