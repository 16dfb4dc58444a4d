"""NDCG@10 against rerank depth, with PLAID's line: the results table as a picture, one panel for each model."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import tables
from harness.figures import style
from harness.figures.inputs import Inputs
from harness.methods.registry import end_to_end
from harness.tables import titles

COLUMNS = ["model", "center", "method", "depth", "ndcg10", "datasets", "queries"]


def figures(inputs: Inputs, notes: list[str]) -> Iterator[tuple[str, Figure]]:
    """The figure of the data sets together, if anything was measured."""
    found = frame(inputs, notes)
    if not found.empty:
        yield f"depth-{inputs.suite}", draw(found)


def frame(inputs: Inputs, notes: list[str]) -> pd.DataFrame:
    """One line for each point: mean NDCG@10 x 100 over the data sets that the model was measured on.

    Columns: model, center, method, depth ("" for PLAID and exact search), ndcg10, and how many datasets and queries
    the mean is over. A row that lacks one of its model's data sets is left out, and so are variants of methods and
    centerings; `notes` says which.
    """
    measured = {(record.model, record.center, record.method) for record in inputs.records}
    rows = [row for row in inputs.rows if (row.model, row.center, row.method) in measured]
    plain = [row for row in rows if "+" not in row.method + row.center]
    if len(plain) < len(rows):
        notes.append(f"depth: {len(rows) - len(plain)} variants of methods and centerings are left out.")
    parts = [_of_model(inputs, model, plain, notes) for model in dict.fromkeys(row.model for row in plain)]
    shown = [part for part in parts if not part["depth"].eq("").all()]
    return pd.concat(shown, ignore_index=True) if shown else pd.DataFrame(columns=COLUMNS)


def _of_model(inputs: Inputs, model: str, rows: list[tables.Row], notes: list[str]) -> pd.DataFrame:
    """The lines of one model; PLAID, or exact search where PLAID lacks a data set, is the reference."""
    rows = [row for row in rows if row.model == model]
    sets = {row: {r.dataset for r in inputs.records if tables.Row(r.model, r.center, r.method) == row} for row in rows}
    every = [name for name in inputs.datasets if any(name in sets[row] for row in rows if not end_to_end(row.method))]
    complete = [row for row in rows if sets[row].issuperset(every)]
    whole = sorted(row.method for row in complete if end_to_end(row.method))
    kept = [row for row in complete if not end_to_end(row.method) or row.method == whole[-1]]  # plaid is after exact
    kept.sort(key=lambda row: (not end_to_end(row.method), row.method))  # each method's centerings together
    for row in rows:
        if row not in complete and not end_to_end(row.method):
            name = f"{titles.method_title(row.method)} {style.center_name(row.center)}, {titles.title(model)}"
            notes.append(f"depth: {name}: left out, measured on {len(sets[row])} of {len(every)} data sets.")
    lines = []
    queries = {record.dataset: len(record.per_query["queries"]) for record in inputs.records if record.model == model}
    for row in kept:
        long = tables.long_form(inputs.records, [row], every, inputs.depths)
        means = long[(long["dataset"] == tables.MEAN) & long["ndcg10"].notna()]
        for depth, value in zip(means["depth"], means["ndcg10"], strict=True):
            lines.append([model, row.center, row.method, depth, value, len(every), sum(queries[d] for d in every)])
    return pd.DataFrame(lines, columns=COLUMNS)


def draw(points: pd.DataFrame) -> Figure:
    """The figure of `frame`'s lines, which are drawn in their order."""
    models = list(points["model"].unique())
    columns = len(models) if len(models) <= 3 else 2 if len(models) == 4 else 3
    depths = sorted({int(depth) for depth in points["depth"] if depth != ""})
    width, height = (style.COLUMN, 3.8) if columns == 1 else (style.WIDTH, 2.5)
    figure, axes = style.panels(-(-len(models) // columns), columns, width, height, sharey=True)
    for panel, model in zip(axes, models, strict=False):
        _panel(panel, points[points["model"] == model], depths)
        panel.set_title(style.wrapped(titles.title(model), width / columns) + "\n" + _n(points, model))
        panel.set_xlabel("rerank depth, documents")
    for unused in axes[len(models) :]:
        unused.set_axis_off()
    for first in axes[:: max(1, columns)]:
        first.set_ylabel("mean NDCG@10 × 100")
    style.legend_under(figure, axes, 2 if columns == 1 else 5)
    return figure


def _panel(axes: Axes, points: pd.DataFrame, depths: list[int]) -> None:
    """Depths side by side at equal distances: they are few, from 0 up, and roughly double."""
    for key, cells in points.groupby(["method", "center"], sort=False):
        method, center = map(str, key)  # type: ignore[call-overload]
        name = titles.method_title(method)
        if end_to_end(method):
            look = style.method_look(method)
            axes.axhline(cells["ndcg10"].iloc[0], color=look.color, linestyle=look.line, linewidth=1, label=name)
        else:
            places = [depths.index(int(depth)) for depth in cells["depth"]]
            label = f"{name}, {style.center_name(center)}"
            axes.plot(places, cells["ndcg10"], label=label, **style.of_cell(method, center))
    axes.set_xticks(range(len(depths)), list(map(str, depths)))
    axes.set_xlim(-0.3, len(depths) - 0.7)


def _n(points: pd.DataFrame, model: str) -> str:
    datasets, queries = points[points["model"] == model][["datasets", "queries"]].iloc[0]
    return f"n = {queries:,} queries, {datasets} data set{'s' if datasets > 1 else ''}"
