"""The cost of quality: NDCG@10 against bytes per document and time per query, for variants of a method.

Where documents are reranked, token vectors and MaxSim are part of the costs (`harness.tables.costs`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from harness import tables
from harness.config import recommended
from harness.config.names import variant
from harness.figures import labels, style
from harness.figures.inputs import Inputs
from harness.methods import registry
from harness.records import FINAL, Record
from harness.tables import costs, titles
from harness.tables.rows import RECOMMENDED, block_of, unpooled

_MARKERS = ("*", "D", "p", "8", "<", ">")
DEPTHS = ("0", "50", "100")
COSTS = {
    "kilobytes": "kB per document (index; reranked: and token vectors)",
    "milliseconds": "ms per query (first stage; reranked: and MaxSim)",
}


def figures(inputs: Inputs, notes: list[str]) -> Iterator[tuple[str, Figure]]:
    """One figure for each (data set, model, centering) on which a method was measured with two or more settings.

    Methods with the centering that is recommended for each stand in one figure.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in inputs.records:
        if tables.row_of(record) in inputs.rows and not registry.end_to_end(record.method):
            best = block_of(record.center, record.method) == RECOMMENDED
            recipe = recommended.NAME if best else record.center
            groups.setdefault((record.dataset, record.model, recipe), []).append(record)
    for (dataset, model, recipe), records in groups.items():
        settings = Counter(registry.base_name(record.method) for record in records)
        if max(settings.values()) < 2 or not any(set(DEPTHS) & record.ndcg10.keys() for record in records):
            continue
        centers = {record.center for record in records}
        center = centers.pop() if len(centers) == 1 else recipe
        name = f"{titles.title(model)}, {dataset}, {style.center_name(center)}"
        reference = _reference(
            [record for record in inputs.records if (record.dataset, record.model) == (dataset, model)]
        )
        rivals = [
            record
            for record in inputs.records
            if record.dataset == dataset
            and registry.end_to_end(record.method)
            and model in (record.model, unpooled(record.model))
        ]
        if len({(record.host.get("cpu"), record.host.get("threads")) for record in [*records, *rivals]}) > 1:
            notes.append(f"budget: {dataset}, {model}: query times are from different machines or threads.")
        points = systems(rivals, inputs.records)
        yield f"budget-{dataset}-{model}-{center}", draw(frame(records, inputs.records), name, reference, points)


def frame(records: Sequence[Record], all_records: Sequence[Record]) -> pd.DataFrame:
    """One line for each record of one (data set, model, centering).

    Parameters
    ----------
    all_records
        The records of all cells, in which `harness.tables.costs` finds the cells that were searched together.

    Returns
    -------
    The columns method (its name without options), options (those that differ among the records of the method), shipped
    (whether all options are those of conf/), documents, queries, and for each depth of `DEPTHS` its NDCG@10 x 100 (NaN
    where not measured) and its costs, in columns such as "kilobytes, rk=50" (per document; milliseconds: per query).
    """
    lines = []
    for record in records:
        row, base = tables.row_of(record), registry.base_name(record.method)
        cost = costs.measured(all_records, [row], [record.dataset])[row][record.dataset]
        settings = [other.identity["method"] for other in records if registry.base_name(other.method) == base]
        paid = {
            depth: (costs.bytes_at(record, depth) / 1000, costs.milliseconds_at(record, depth, cost))
            for depth in DEPTHS
        }
        lines.append(
            {
                "method": base,
                "options": _options(record.identity["method"], settings, registry.traits(base).symbols),
                "shipped": record.method == base,
                "documents": record.details["documents"],
                "queries": len(record.per_query["queries"]),
                **{depth: 100 * record.ndcg10.get(depth, np.nan) for depth in DEPTHS},
                **{_column(cost, depth): paid[depth][i] for depth in DEPTHS for i, cost in enumerate(COSTS)},
            }
        )
    return pd.DataFrame(lines)


def _column(cost: str, depth: str) -> str:
    """The column of a cost at a depth."""
    return f"{cost}, rk={depth}"


def systems(records: Sequence[Record], all_records: Sequence[Record]) -> list[tuple[str, float, float, float]]:
    """Name, kB per document, milliseconds per query, and NDCG@10 x 100 of methods that rank with MaxSim itself."""
    found = []
    for record in records:
        row, pooled = tables.row_of(record), [word for word in record.model.split("+")[1:] if word.startswith("pool")]
        cost = costs.measured(all_records, [row], [record.dataset])[row][record.dataset]
        if record.details.get("documents"):
            name = " ".join([titles.method_title(record.method), *pooled])
            found.append((name, costs.bytes_at(record, "") / 1000, cost.first_stage_ms, 100 * record.ndcg10[FINAL]))
    return found


def front(cost: Float[np.ndarray, " points"], quality: Float[np.ndarray, " points"]) -> Bool[np.ndarray, " points"]:
    """Whether each point is on the Pareto front: no other point is as cheap and as good, and cheaper or better.

    Equal points are either all on the front or all off it; a point with a NaN is not on it.
    """
    cheaper, better = cost[None] < cost[:, None], quality[None] > quality[:, None]
    as_cheap, as_good = cost[None] <= cost[:, None], quality[None] >= quality[:, None]
    beaten = (as_cheap & as_good & (cheaper | better)).any(axis=1)
    return ~beaten & np.isfinite(cost) & np.isfinite(quality)


def draw(
    points: pd.DataFrame,
    name: str,
    reference: tuple[str, float] | None = None,
    whole: Sequence[tuple[str, float, float, float]] = (),
) -> Figure:
    """A row of panels for each depth, a column for each cost.

    Parameters
    ----------
    points
        The lines that `frame` returns.
    name
        The title: model, data set and centering.
    reference
        Name and NDCG@10 x 100 of the method that is drawn as a level line; None: no line.
    whole
        What `systems` returns: points beside those of the first stages.
    """
    depths = [depth for depth in DEPTHS if points[depth].notna().any()]
    figure, axes = style.panels(len(depths), len(COSTS), style.WIDTH, 2.9, sharex="col", sharey="row")
    shown = list(zip(axes, product(depths, COSTS), strict=True))
    for panel, (depth, cost) in shown:
        _panel(panel, points, depth, _column(cost, depth))
        for marker, (system, size, milliseconds, quality) in zip(cycle(_MARKERS), whole, strict=False):
            x = size if cost == "kilobytes" else milliseconds
            panel.plot(
                [x], [quality], marker=marker, color=style.INK, linestyle="", fillstyle="none", label=f"{system}, point"
            )
        if reference:
            look, label = style.method_look(reference[0]), titles.method_title(reference[0])
            panel.axhline(reference[1], color=look.color, linestyle=look.line, linewidth=1, label=label)
    for first, depth in zip(axes[:: len(COSTS)], depths, strict=True):
        first.set_ylabel(f"NDCG@10 × 100, rk={depth}")
    for last, title in zip(axes[-len(COSTS) :], COSTS.values(), strict=True):
        last.set_xlabel(title)
    n = f"n = {points['queries'].max():,} queries, {points['documents'].max():,} documents"
    figure.suptitle(f"{name} ({n})")
    style.legend_under(figure, axes[:1], 3)
    _leave_room(axes)
    figure.draw_without_rendering()  # settles the layout, on which the labels' places depend
    for panel, (depth, cost) in shown:
        _label_fronts(panel, points, depth, _column(cost, depth), reference)
    return figure


def _panel(axes: Axes, points: pd.DataFrame, depth: str, cost: str) -> None:
    for method, variants in points.groupby("method", sort=False):
        _method(axes, variants[cost].to_numpy(), variants[depth].to_numpy(), str(method))
    shipped = points[points["shipped"]]
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 8,
        "fillstyle": "none",
        "color": style.INK,
        "markeredgewidth": 0.7,
    }
    if len(shipped):
        axes.plot(shipped[cost], shipped[depth], linestyle="", label="default options", **ring)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _method(
    axes: Axes,
    cost: Float[np.ndarray, " points"],
    quality: Float[np.ndarray, " points"],
    method: str,
) -> None:
    """The points of a method: filled and joined by steps on its front, open elsewhere."""
    look, best = style.method_look(method), front(cost, quality)
    order = np.argsort(cost[best], kind="stable")
    options: dict[str, Any] = {"color": look.color, "marker": look.marker}
    name = titles.method_title(method)
    label = f"{name}, Pareto front"
    axes.plot(
        cost[best][order], quality[best][order], linestyle=look.line, drawstyle="steps-post", label=label, **options
    )
    axes.plot(
        cost[~best], quality[~best], linestyle="", fillstyle="none", markersize=3, label=f"{name}, dominated", **options
    )


def _leave_room(axes: Sequence[Axes]) -> None:
    """Make room for labels to the left of and above the fronts; panels share limits along a row and a column."""
    for panel in axes[: len(COSTS)]:
        left, right = np.log(panel.get_xlim())
        panel.set_xlim(np.exp(left - 0.2 * (right - left)), np.exp(right))
    for panel in axes[:: len(COSTS)]:
        bottom, top = panel.get_ylim()
        panel.set_ylim(bottom, top + 0.15 * (top - bottom))


def _label_fronts(axes: Axes, points: pd.DataFrame, depth: str, cost: str, reference: tuple[str, float] | None) -> None:
    """Label the points on the fronts with their options, where there is room."""
    measured = points[points[[cost, depth]].notna().all(axis=1)]
    named: list[tuple[float, float, str]] = []
    others: list[tuple[float, float]] = []
    lines = [np.array([(x, reference[1]) for x in axes.get_xlim()])] if reference else []
    for _, variants in measured.groupby("method", sort=False):
        best = front(variants[cost].to_numpy(), variants[depth].to_numpy())
        places = sorted(zip(variants[cost][best], variants[depth][best], variants["options"][best], strict=True))
        named += [place for place in places if place[2]]
        others += list(zip(variants[cost][~best], variants[depth][~best], strict=True))
        corners = np.repeat([place[:2] for place in places], 2, axis=0)
        lines.append(np.column_stack([corners[1:, 0], corners[:-1, 1]]))  # the corners of the steps
    labels.place(axes, sorted(named), others, lines)


def _reference(records: Sequence[Record]) -> tuple[str, float] | None:
    """The first measured method that ranks with MaxSim itself (PLAID, then exact), and its NDCG@10 x 100."""
    found = {record.method: 100 * record.ndcg10[FINAL] for record in records if registry.end_to_end(record.method)}
    shipped = sorted((method for method in found if "+" not in method), key=registry.order)
    return (shipped[0], found[shipped[0]]) if shipped else None


def _options(chosen: dict[str, Any], settings: Sequence[dict[str, Any]], symbols: Mapping[str, str]) -> str:
    """The options of a record that differ among the settings of its method, in the order of conf/."""
    flat, others = _flattened(chosen), [_flattened(other) for other in settings]
    differing = [key for key in flat if any(other.get(key) != flat[key] for other in others)]
    return " ".join(f"{symbols.get(key, key)}={flat[key]}" for key in differing)


def _flattened(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a method, then its index and, of that, what differs from conf/."""
    index = options.get("index")
    if not index:
        return options
    own = {key: value for key, value in options.items() if key != "index"}
    name, *changed = variant("index", index).split("+")
    return {**own, "index": " ".join([name, *changed])}
