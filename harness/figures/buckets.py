"""How evenly tokens fall on a method's projections: MUVERA's buckets and SMVE's anchors."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.figures import style
from harness.figures.inputs import SIDES, Geometry, by_center, heading, stages_with
from harness.tables import titles


def draw(geometry: Geometry) -> Figure:
    """A row for each method, a panel for each side.

    With buckets (MUVERA): share of tokens in each bucket, fullest first; with anchors (SMVE): Lorenz curve of their
    load.
    """
    kinds = {
        "buckets": (_buckets, "share of tokens in the bucket\n(mean over repetitions)"),
        "anchors": (_anchors, "share of the places\nthat tokens keep"),
    }
    rows = [(key, method, spaces) for key in kinds for method, spaces in stages_with(geometry, key).items()]
    figure, axes = style.panels(len(rows), len(SIDES), style.WIDTH, 2.8, sharey="row")
    panels = [(*row, side) for row in rows for side in SIDES]
    for axis, (key, method, spaces, side) in zip(axes, panels, strict=True):
        panel, ylabel = kinds[key]
        parts = {space: sides[side] for space, sides in spaces.items()}
        panel(axis, parts)
        n = next(iter(parts.values()))["n"]
        axis.set_title(f"{titles.method_title(method)}, {side}, n = {n:,} tokens")
        style.legend_below(axis)
        if side == SIDES[0]:
            axis.set_ylabel(ylabel)
    figure.suptitle(heading(geometry))
    return figure


def _buckets(axes: Axes, parts: dict[str, Geometry]) -> None:
    """Sorted shares (log) and, as a line, those of buckets that all hold the same number of tokens."""
    for center, label, part in by_center(parts):
        shares = np.array(part["shares"])
        shown = shares > 0
        label = f"{label}, entropy {part['entropy']:.2f} of {part['max_entropy']:g} bits"
        axes.plot(1 + np.flatnonzero(shown), shares[shown], label=label, **style.of_center(center, int(shown.sum())))
    count = len(shares)
    axes.axhline(1 / count, color=style.INK, linestyle="-.", linewidth=0.8, label=f"uniform, 1/{count}")
    axes.set_yscale("log")
    axes.set_xlabel("bucket, fullest first")


def _anchors(axes: Axes, parts: dict[str, Geometry]) -> None:
    """Lorenz curves: the share of all kept places that belong to the least loaded anchors."""
    for center, label, part in by_center(parts):
        curve = part["lorenz"]
        label = f"{label}, Gini {part['gini']:.2f} (at random {part['gini_even']:.2f})"
        axes.plot(np.linspace(0, 1, len(curve)), curve, label=label, **style.of_center(center, len(curve)))
    axes.plot([0, 1], [0, 1], color=style.INK, linestyle="-.", linewidth=0.8, label="equal load")
    axes.set_xlabel("share of anchors, least loaded first")
