"""How alike two token vectors are: histogram of pairwise cosines."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from harness.figures import style
from harness.figures.inputs import SIDES, Geometry, by_center, heading
from harness.vectors.centering import KINDS


def draw(geometry: Geometry) -> Figure:
    """Share of the sampled pairs in each bin, by centering; the exact mean of all pairs as a mark on the axis."""
    cosines = geometry["cosines"]
    edges = np.array(cosines["edges"])
    figure, axes = style.panels(1, 2, style.WIDTH, 2.9, sharey=True)
    for panel, side in zip(axes, SIDES, strict=True):
        for center, label, counts in by_center(cosines[side]):
            mean, look = geometry[side][KINDS[center].space]["mean_pairwise_cosine"], style.center_look(center)
            panel.stairs(np.array(counts) / sum(counts), edges, color=look.color, linestyle=look.line, linewidth=1.3)
            panel.plot([mean], [0], color=look.color, marker=look.marker, markersize=6, clip_on=False, zorder=5)
            panel.plot([], [], label=f"{label}, mean {mean:.2f}", **style.of_center(center))
        panel.set_title(f"{side}, n = {cosines['pairs']:,} random pairs of tokens")
        panel.set_xlabel("cosine of two tokens")
        panel.set_xlim(-1, 1)
        panel.set_xticks([-1, -0.5, 0, 0.5, 1])
        style.legend_below(panel)
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel(f"share of pairs, in bins of {np.diff(edges).mean():.2g}")
    figure.suptitle(f"{heading(geometry)} (marks on the axis: exact mean over all pairs)")
    return figure
