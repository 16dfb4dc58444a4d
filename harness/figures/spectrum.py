"""How token vectors are spread over directions: eigenvalues of their second moment, largest first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from harness.figures import style
from harness.figures.inputs import SIDES, Geometry, by_center, heading
from harness.vectors.centering import KINDS

FLOOR = 1e-7  # share of the sum; smaller eigenvalues are the rounding of float16 vectors


def draw(geometry: Geometry) -> Figure:
    """Share of each eigenvalue (log) by its rank, on both sides, under each centering; stable ranks in the legend."""
    figure, axes = style.panels(1, 2, style.WIDTH, 2.9, sharey=True)
    for panel, side in zip(axes, SIDES, strict=True):
        measures = geometry[side]
        for center, label, shares in by_center(geometry["spectrum"][side]):
            shown = np.array(shares) > FLOOR
            panel.plot(
                1 + np.flatnonzero(shown),
                np.array(shares)[shown],
                label=f"{label}, stable rank {measures[KINDS[center].space]['stable_rank']:.1f}",
                **style.of_center(center, int(shown.sum())),
            )
        panel.set_yscale("log")
        panel.set_title(f"{side}, n = {measures['raw']['n']:,} tokens, {measures['raw']['dim']} dimensions")
        panel.set_xlabel("rank of the eigenvalue")
        style.legend_below(panel)
    axes[0].set_ylabel("share of the sum of eigenvalues")
    figure.suptitle(heading(geometry))
    return figure
