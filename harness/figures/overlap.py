"""What SMVE does not see: a query token and a document token that share no anchor, by how alike they are."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from harness.figures import style
from harness.figures.inputs import Geometry, by_space, heading


def draw(geometry: Geometry) -> Figure:
    """Share of the token pairs of a cosine that share no anchor; bins without pairs are left out."""
    figure, (axes,) = style.panels(1, 1, style.COLUMN, 2.9)
    stages = geometry["first_stages"]["smve"]
    for space, label, part in by_space({space: stage["zero_overlap"] for space, stage in stages.items()}):
        edges, rates = np.array(part["edges"]), np.array(part["rate"], dtype=float)  # null: no pairs
        shown = np.isfinite(rates)
        middles = ((edges[:-1] + edges[1:]) / 2)[shown]
        label = f"{label}, n = {sum(part['pairs']):,} pairs of tokens"
        axes.plot(middles, rates[shown], label=label, **style.of_space(space, len(middles)))
    axes.set_xlabel("cosine of query token and document token")
    axes.set_ylabel("share of pairs\nwithout a common anchor")
    axes.set_ylim(-0.02, 1.02)
    axes.set_title(f"SMVE, {heading(geometry)}")
    style.legend_below(axes)
    return figure
