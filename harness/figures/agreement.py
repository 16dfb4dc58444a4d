"""How well a first stage follows exact MaxSim; relevance judgements play no part."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from harness.figures import style
from harness.figures.inputs import Geometry, by_center, heading, stages_with
from harness.tables import titles

PARTS = {
    "recall": "share of the exact top 10\namong the first k",
    "overlap": "share of the exact top k\namong the first k",
}


def draw(geometry: Geometry) -> Figure:
    """Recall of the exact top 10 and overlap of both top k, against k, for each method and centering."""
    figure, axes = style.panels(1, len(PARTS), style.WIDTH, 3.1, sharey=True)
    follows = stages_with(geometry, "agreement")
    for panel, (part, title) in zip(axes, PARTS.items(), strict=True):
        for method, spaces in follows.items():
            for center, label, found in by_center(spaces):
                points = sorted((int(depth), value) for depth, value in found[part].items())
                label = f"{titles.method_title(method)}, {label}, ρ = {found['spearman']:.2f}"
                depths, shares = [depth for depth, _ in points], [share for _, share in points]
                panel.plot(depths, shares, label=label, **style.of_cell(method, center))
        stages = [stage for spaces in follows.values() for stage in spaces.values()]
        _depths(panel, sorted({int(depth) for stage in stages for depth in stage[part]}))
        panel.set_ylabel(title)
    first = next(iter(next(iter(follows.values())).values()))
    n = f"n = {first['queries']:,} queries, {first['documents']:,} documents"
    figure.suptitle(f"{heading(geometry)}, {n} (ρ: Spearman, with MaxSim)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(follows))
    return figure


def _depths(axes: Axes, depths: list[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(depths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("k, documents")
    axes.set_ylim(0, 1.02)
