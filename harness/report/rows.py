"""The rows of the page's table: each with its means, its single data sets, its costs and its commands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from harness.figures import Inputs
from harness.methods.registry import end_to_end
from harness.report.cell_commands import Commands
from harness.tables import MEAN, Marks, Row, costs, formats, plaid_mean, titles
from harness.tables.costs import Cost
from harness.tables.formats import MISSING
from harness.tables.rows import PLAID

STEPS = (0.5, 2, 5, 15)
"""The sizes of a difference, in percentage points, at which its shade becomes 1, 2, 3 and 4."""
COST_COLUMNS = {"index": "Index", "first-stage": "First stage, ms / query", "rerank": "Rerank, ms / query"}


@dataclass(frozen=True)
class Cell:
    """A value as it is shown, the number by which it is sorted ("": none), its difference to PLAID, and its shade."""

    text: str
    number: str = ""
    delta: str = ""
    shade: str = ""


@dataclass(frozen=True)
class Line:
    """The means of a row, or its values on the data set `name`: PLAID, one value for each depth, and the costs."""

    name: str
    plaid: Cell
    values: list[Cell]
    costs: list[Cell]


@dataclass(frozen=True)
class Block:
    """A row of the table with all that unfolds below it.

    Attributes
    ----------
    row : its names, by which it is filtered
    model, center, method : titles and labels, as printed
    scope : a suffix for the model of a row that covers only some of the data sets
    mean, sets : its means, and its values on each data set
    commands : (name, command): for all data sets, if one command measures them all, and for each data set
    """

    row: Row
    model: str
    scope: str
    center: str
    method: str
    mean: Line
    sets: list[Line]
    commands: list[tuple[str, str]]


def blocks(inputs: Inputs, table: pd.DataFrame, marks: Marks, commands: Commands) -> list[Block]:
    """The rows of a table, from its long form; methods without depths (PLAID, exact search) only if measured."""
    measured = costs.measured(inputs.records, inputs.rows, inputs.datasets)
    lines = dict(list(table.groupby(["model", "center", "method"], sort=False)))
    found = []
    for row in inputs.rows:
        own = lines[row.model, row.center, row.method]
        if not end_to_end(row.method) or own["ndcg10"].notna().any():
            plaid = _points(plaid_mean(table, own))
            found.append(_block(row, own, plaid, marks, measured.get(row, {}), commands))
    return found


def _block(
    row: Row, lines: pd.DataFrame, plaid: Cell, marks: Marks, cost: dict[str, Cost], commands: Commands
) -> Block:
    means, single = lines[lines["dataset"] == MEAN], lines[lines["dataset"] != MEAN]
    command = commands.of_row(row) if len(commands.datasets) > 1 else None
    return Block(
        row,
        titles.title(row.model),
        formats.scope(single[single["ndcg10"].notna()]["dataset"].nunique(), commands.datasets),
        titles.center_label(row.center),
        titles.method_title(row.method),
        _line(MEAN, means, plaid, marks, costs.mean(list(cost.values())) if cost else None),
        [
            _line(str(name), values, _points(values["plaid"].iloc[0]), {}, cost.get(str(name)))
            for name, values in single.groupby("dataset", sort=False)
        ],
        [
            *([("all data sets", command)] if command else []),
            *((name, commands.of_cell(row, name)) for name in commands.datasets),
        ],
    )


def _line(name: str, lines: pd.DataFrame, plaid: Cell, marks: Marks, cost: Cost | None) -> Line:
    values = [
        _points(value, math.nan if method == PLAID else delta, marks.get((model, center, method, depth), ""), sd)
        for model, center, method, depth, _, value, _, delta, sd, _ in lines.itertuples(index=False)
    ]
    return Line(name, plaid, values, list(_costs(cost)))


def _points(value: float, delta: float = math.nan, mark: str = "", sd: float = math.nan) -> Cell:
    if math.isnan(value):
        return Cell(MISSING)
    text = f"{value:.2f}" if math.isnan(sd) else f"{value:.2f} ± {sd:.2f}"
    if math.isnan(delta):
        return Cell(text, f"{value:.6f}")
    return Cell(text, f"{value:.6f}", f"{formats.signed(delta)}{mark}", shade(delta))


def _costs(cost: Cost | None) -> Iterator[Cell]:
    """The cells of the columns `COST_COLUMNS`."""
    if cost is None:
        yield from [Cell(MISSING)] * len(COST_COLUMNS)
        return
    yield Cell(formats.size(cost.index_bytes), _number(cost.index_bytes))
    for value in (cost.first_stage_ms, cost.rerank_ms):
        yield Cell(formats.decimals(value, 2), _number(value))


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def shade(delta: float) -> str:
    """The CSS class of a difference to PLAID, as it is shown: `even`, or `loss` or `gain` with a shade from 1 to 4."""
    shown = abs(round(delta, 1))
    step = sum(shown >= least for least in STEPS)
    return "even" if step == 0 else f"{'loss' if delta < 0 else 'gain'}{step}"
