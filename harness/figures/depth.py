"""NDCG@10 against rerank depth, with PLAID's line: the results table as a figure, one panel for each model.

Bars show the standard deviation over draws of the projections, where there are several.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import tables
from harness.config import recommended
from harness.figures import style
from harness.figures.inputs import Inputs
from harness.methods import registry
from harness.methods.registry import end_to_end
from harness.records import NO_MODEL
from harness.tables import titles

COLUMNS = ["model", "center", "method", "depth", "ndcg10", "sd", "datasets", "queries"]


def figures(inputs: Inputs, notes: list[str]) -> Iterator[tuple[str, Figure]]:
    """One figure for all data sets together, if anything was measured."""
    found = frame(inputs, notes)
    if not found.empty:
        yield f"depth-{inputs.suite}", draw(found)


def frame(inputs: Inputs, notes: list[str]) -> pd.DataFrame:
    """One line for each point: mean NDCG@10 x 100 over the data sets that the model was measured on.

    A row that lacks one of its model's data sets is left out, and so are variants of methods and centerings, save the
    centering that is recommended for a method; a note on each is appended to `notes`.

    Returns
    -------
    The columns model, center, method, depth ("" for PLAID and exact search), ndcg10, its standard deviation over draws
    (NaN for a single one), and the numbers of data sets and of queries that the mean is over.
    """
    measured = {tables.row_of(record) for record in inputs.records}
    rows = [row for row in inputs.rows if row in measured and row.model != NO_MODEL]
    if alone := sum(row.model == NO_MODEL for row in inputs.rows):
        notes.append(f"depth: runs of other engines ({alone}) are left out, as they have no model and no depths.")
    plain = [
        row
        for row in rows
        if "+" not in row.method and ("+" not in row.center or _is_recommended(row.method, row.center))
    ]
    if len(plain) < len(rows):
        notes.append(f"depth: {len(rows) - len(plain)} variants of methods and centerings are left out.")
    parts = [_of_model(inputs, model, plain, notes) for model in dict.fromkeys(row.model for row in plain)]
    shown = [part for part in parts if not part["depth"].eq("").all()]
    return pd.concat(shown, ignore_index=True) if shown else pd.DataFrame(columns=COLUMNS)


def _is_recommended(method: str, center: str) -> bool:
    return tables.block_of(center, method) == tables.RECOMMENDED


def _label_and_look(method: str, center: str) -> tuple[str, dict[str, Any]]:
    """The label of a line, and how it is drawn; the recommended centering of all methods looks the same."""
    if _is_recommended(method, center):
        return f"{titles.method_title(method)}, recommended", style.of_cell(method, recommended.NAME)
    return f"{titles.method_title(method)}, {style.center_name(center)}", style.of_cell(method, center)


def _of_model(inputs: Inputs, model: str, rows: list[tables.Row], notes: list[str]) -> pd.DataFrame:
    """The lines of one model, the reference first: PLAID, or exact search if PLAID lacks a data set."""
    rows = [row for row in rows if row.model == model]
    sets = {row: {record.dataset for record in inputs.records if tables.row_of(record) == row} for row in rows}
    stages = [row for row in rows if not end_to_end(row.method)]
    datasets = [name for name in inputs.datasets if any(name in sets[row] for row in stages)]
    complete = [row for row in rows if sets[row].issuperset(datasets)]
    references = sorted((row.method for row in complete if end_to_end(row.method)), key=registry.order)
    shown = [row for row in complete if not end_to_end(row.method) or row.method == references[0]]
    # The centerings of a method stand together.
    shown.sort(key=lambda row: (not end_to_end(row.method), registry.order(row.method)))
    for row in rows:
        if row not in complete and not end_to_end(row.method):
            name = f"{titles.method_title(row.method)} {style.center_name(row.center)}, {titles.title(model)}"
            notes.append(f"depth: {name}: left out, measured on {len(sets[row])} of {len(datasets)} data sets.")
    lines = []
    queries = {record.dataset: len(record.per_query["queries"]) for record in inputs.records if record.model == model}
    for row in shown:
        long = tables.long_form(inputs.records, [row], datasets, inputs.depths)
        means = long[(long["dataset"] == tables.MEAN) & long["ndcg10"].notna()]
        count = sum(queries[name] for name in datasets)
        for depth, value, sd in means[["depth", "ndcg10", "sd"]].itertuples(index=False):
            lines.append([model, row.center, row.method, depth, value, sd, len(datasets), count])
    return pd.DataFrame(lines, columns=COLUMNS)


def draw(points: pd.DataFrame) -> Figure:
    """The figure of the lines that `frame` returns, drawn in their order."""
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
    """One panel. Depths stand at equal distances: they are few, start at 0 and roughly double."""
    for key, cells in points.groupby(["method", "center"], sort=False):
        method, center = map(str, key)  # type: ignore[call-overload]
        name = titles.method_title(method)
        if end_to_end(method):
            look = style.method_look(method)
            axes.axhline(cells["ndcg10"].iloc[0], color=look.color, linestyle=look.line, linewidth=1, label=name)
        else:
            places = [depths.index(int(depth)) for depth in cells["depth"]]
            label, drawn = _label_and_look(method, center)
            (line,) = axes.plot(places, cells["ndcg10"], label=label, **drawn)
            if cells["sd"].notna().any():
                axes.errorbar(places, cells["ndcg10"], cells["sd"], fmt="none", ecolor=line.get_color(), capsize=2)
    axes.set_xticks(range(len(depths)), list(map(str, depths)))
    axes.set_xlim(-0.3, len(depths) - 0.7)


def _n(points: pd.DataFrame, model: str) -> str:
    datasets, queries = points[points["model"] == model][["datasets", "queries"]].iloc[0]
    return f"n = {queries:,} queries, {datasets} data set{'s' if datasets > 1 else ''}"
