"""What anchors miss: pairs of a query token and a document token that share no anchor, by their cosine."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.figures import style
from harness.figures.inputs import Geometry, by_center, heading, stages_with
from harness.tables import titles


def draw(geometry: Geometry) -> Figure:
    """Share of the token pairs of a cosine that share no anchor, a panel for each method with anchors.

    Bins without pairs are left out.
    """
    methods = stages_with(geometry, "zero_overlap")
    figure, panels = style.panels(1, len(methods), style.COLUMN * len(methods), 2.9)
    for axes, (method, parts) in zip(panels, methods.items(), strict=True):
        _panel(axes, parts)
        axes.set_title(f"{titles.method_title(method)}, {heading(geometry)}")
        style.legend_below(axes)
    return figure


def _panel(axes: Axes, parts: dict[str, Geometry]) -> None:
    for center, label, part in by_center(parts):
        edges, rates = np.array(part["edges"]), np.array(part["rate"], dtype=float)  # null: no pairs
        shown = np.isfinite(rates)
        middles = ((edges[:-1] + edges[1:]) / 2)[shown]
        label = f"{label}, n = {sum(part['pairs']):,} pairs of tokens"
        axes.plot(middles, rates[shown], label=label, **style.of_center(center, len(middles)))
    axes.set_xlabel("cosine of query token and document token")
    axes.set_ylabel("share of pairs\nwithout a common anchor")
    axes.set_ylim(-0.02, 1.02)
