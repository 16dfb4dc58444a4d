"""How evenly the projections are used: MUVERA's buckets and SMVE's anchors."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.figures import style
from harness.figures.inputs import SIDES, Geometry, by_space, heading
from harness.tables import titles


def draw(geometry: Geometry) -> Figure:
    """A row for each method, a panel for each side.

    MUVERA: share of tokens in each bucket, fullest first; SMVE: Lorenz curve of the anchors' load.
    """
    kinds = {
        "muvera": ("buckets", _buckets, "share of tokens in the bucket\n(mean over repetitions)"),
        "smve": ("anchors", _anchors, "share of the places\nthat tokens keep"),
    }
    stages = geometry["first_stages"]
    panels = [(method, side) for method in kinds if method in stages for side in SIDES]
    figure, axes = style.panels(len(panels) // len(SIDES), len(SIDES), style.WIDTH, 2.8, sharey="row")
    for axis, (method, side) in zip(axes, panels, strict=True):
        key, panel, ylabel = kinds[method]
        parts = {space: stage[key][side] for space, stage in stages[method].items()}
        panel(axis, parts)
        n = next(iter(parts.values()))["n"]
        axis.set_title(f"{titles.method_title(method)}, {side}, n = {n:,} tokens")
        style.legend_below(axis)
        if side == SIDES[0]:
            axis.set_ylabel(ylabel)
    figure.suptitle(heading(geometry))
    return figure


def _buckets(axes: Axes, parts: dict[str, Geometry]) -> None:
    """Sorted shares, log, with the uniform line: every bucket holds the same."""
    for space, label, part in by_space(parts):
        shares = np.array(part["shares"])
        shown = shares > 0
        label = f"{label}, entropy {part['entropy']:.2f} of {part['max_entropy']:g} bits"
        axes.plot(1 + np.flatnonzero(shown), shares[shown], label=label, **style.of_space(space, int(shown.sum())))
    count = len(shares)
    axes.axhline(1 / count, color=style.INK, linestyle="-.", linewidth=0.8, label=f"uniform, 1/{count}")
    axes.set_yscale("log")
    axes.set_xlabel("bucket, fullest first")


def _anchors(axes: Axes, parts: dict[str, Geometry]) -> None:
    """Lorenz curves: the share of all kept places that the least loaded anchors have together."""
    for space, label, part in by_space(parts):
        curve = part["lorenz"]
        label = f"{label}, Gini {part['gini']:.2f} (at random {part['gini_even']:.2f})"
        axes.plot(np.linspace(0, 1, len(curve)), curve, label=label, **style.of_space(space, len(curve)))
    axes.plot([0, 1], [0, 1], color=style.INK, linestyle="-.", linewidth=0.8, label="equal load")
    axes.set_xlabel("share of anchors, least loaded first")
