"""The long form of a table: mean NDCG@10 x 100 by rerank depth, with the difference to PLAID.

For another measure, pass the records through `seen_by` first; all that follows, tests included, is the same.

A value that was not measured is missing, never zero and never a guess. A mean is over those data sets of the suite that
were measured for the row. If some were not, the row says so, and PLAID's mean and the difference are over the same data
sets. Differences are taken before rounding. A value of several draws is their mean, with their standard deviation.

The long form has the names of models, centerings and methods as in records; labels appear in printed text only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

import pandas as pd

from harness.config.measures import NDCG10, Measure
from harness.methods.registry import end_to_end
from harness.records import FINAL, Record
from harness.tables.rows import PLAID, Row, by_row, plaid_of
from harness.tables.titles import center_label

KEY = ["model", "center", "method", "depth"]
COLUMNS = [*KEY, "dataset", "ndcg10", "plaid", "delta", "sd", "draws"]
QUERY_COLUMNS = ["dataset", "query", *KEY, "ndcg10"]
MEAN = "mean"


def depths_of(row: Row, depths: Sequence[int]) -> list[str]:
    """The rerank depths of a row, as in the long form; "" for a method that ranks with MaxSim itself."""
    return [""] if end_to_end(row.method) else [str(depth) for depth in depths]


def seen_by(records: Iterable[Record], measure: Measure) -> list[Record]:
    """The records that have a measure, with its scores in place of NDCG@10 (`Record.seen_by`)."""
    return [record.seen_by(measure) for record in records if measure == NDCG10 or measure.name in record.measures]


def long_form(
    records: Iterable[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> pd.DataFrame:
    """One line for each (row, depth, data set), and one for each mean.

    Returns
    -------
    The columns `COLUMNS`; ``ndcg10``, ``plaid`` (PLAID's on the same data sets) and ``delta`` are in percentage points,
    NaN where not measured; ``depth`` is "" for a method that ranks with MaxSim itself. ``draws`` is the number of draws
    that all data sets of a line have, 0 where nothing was measured or nothing is random, and ``sd`` the standard
    deviation of their values in percentage points, NaN for fewer than two.
    """
    found = by_row(records)

    def percent(row: Row, depth: str, dataset: str) -> float:
        record = found.get((row, dataset))
        return 100 * record.ndcg10.get(depth, math.nan) if record else math.nan

    lines = []
    for row in rows:
        for depth in depths_of(row, depths):
            values = [percent(row, depth or FINAL, name) for name in datasets]
            plaid = [percent(plaid_of(row, rows), FINAL, name) for name in datasets]
            covered = [i for i, name in enumerate(datasets) if (row, name) in found]
            means = (_mean([values[i] for i in covered]), _mean([plaid[i] for i in covered]))
            for name, value, reference in [*zip(datasets, values, plaid, strict=True), (MEAN, *means)]:
                members = [datasets[i] for i in covered] if name == MEAN else [name]
                spread = _spread([found.get((row, member)) for member in members], depth or FINAL)
                place = [row.model, row.center, row.method, depth, name]
                lines.append([*place, value, reference, value - reference, *spread])
    return pd.DataFrame(lines, columns=COLUMNS)


def _spread(records: Sequence[Record | None], depth: str) -> tuple[float, int]:
    """The standard deviation of the mean over data sets, over the draws that all of them have, and their number.

    A draw has the same random numbers on each data set: their scores may go up together, so means are taken first.
    """
    measured = [record for record in records if record and depth in record.ndcg10]
    if not measured or len(measured) < len(records):
        return math.nan, 0
    values = [dict(zip(record.draw_seeds, _of_draws(record, depth), strict=True)) for record in measured]
    seeds = [seed for seed in values[0] if seed is not None and all(seed in others for others in values)]
    means = [fmean(of_set[seed] for of_set in values) for seed in seeds]
    return (100 * stdev(means) if len(means) > 1 else math.nan), len(seeds)


def _of_draws(record: Record, depth: str) -> list[float]:
    return record.draws.means_at(depth) if record.draws.seeds else [record.ndcg10[depth]]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def missing(table: pd.DataFrame) -> int:
    """Number of cells of single data sets that were not measured."""
    return int((table["ndcg10"].isna() & (table["dataset"] != MEAN)).sum())


def plaid_mean(table: pd.DataFrame, cells: pd.DataFrame) -> float:
    """PLAID's mean over the data sets of a row, whose lines are `cells`.

    If nothing of the row was measured, it is PLAID's mean over all data sets, provided that all were measured.
    """
    means, sets = cells[cells["dataset"] == MEAN], cells[cells["dataset"] != MEAN]
    if sets["ndcg10"].isna().all():
        model = cells["model"].iloc[0]
        own = table[(table["model"] == model) & (table["method"] == PLAID) & (table["dataset"] != MEAN)]["ndcg10"]
        if own.notna().all() and len(own):
            return float(own.mean())
    plaid = means["plaid"].dropna()
    return float(plaid.iloc[0]) if len(plaid) else math.nan


def has_differences(table: pd.DataFrame) -> bool:
    """Whether any row has a difference to PLAID."""
    return bool(table.loc[table["method"] != PLAID, "delta"].notna().any())


def csv(table: pd.DataFrame, measure: Measure | None = None, head: bool = True, group: str = "") -> str:
    """The long form as CSV, in percentage points with four decimals.

    A field is empty where nothing was measured, and so is the mean of a row that lacks a data set.

    Parameters
    ----------
    measure
        It stands in a first column, ``metric``, and its values in ``value``; None: the values are ``ndcg10``.
    head
        Whether the names of the columns come first.
    group
        If there is one, a group of queries, which stands in a column before all others.
    """
    shown = table.assign(center=table["center"].map(center_label))
    shown.loc[partial_means(table), ["ndcg10", "plaid", "delta", "sd"]] = math.nan
    labelled = _labelled(shown, measure)
    if group:
        labelled.insert(0, "group", group)
    return labelled.to_csv(index=False, float_format="%.4f", header=head)


def partial_means(table: pd.DataFrame) -> pd.Series:
    """Whether each line of the long form is the mean of a row that lacks a data set."""
    missing_sets = table[table["dataset"] != MEAN].groupby(KEY, dropna=False)["ndcg10"].agg(lambda v: v.isna().any())
    return (table["dataset"] == MEAN) & table[KEY].apply(tuple, axis=1).map(missing_sets).astype(bool)


def _labelled(lines: pd.DataFrame, measure: Measure | None) -> pd.DataFrame:
    if measure is None:
        return lines
    return lines.rename(columns={"ndcg10": "value"}).assign(metric=measure.name)[
        ["metric", *(name if name != "ndcg10" else "value" for name in lines.columns)]
    ]


def per_query_csv(
    records: Iterable[Record],
    rows: Sequence[Row],
    datasets: Sequence[str],
    depths: Sequence[int],
    measure: Measure | None = None,
    head: bool = True,
) -> str:
    """One line for each (row, depth, data set, query) that was measured: NDCG@10 from 0 to 1 in full precision.

    `measure` and `head` are those of `csv`.
    """
    found = by_row(records)
    lines: list[list[object]] = []
    for row in rows:
        for depth in depths_of(row, depths):
            for record in [found[row, name] for name in datasets if (row, name) in found]:
                if (depth or FINAL) in record.ndcg10:
                    names = [row.model, center_label(row.center), row.method, depth]
                    scores = record.query_scores(depth or FINAL)
                    lines += [[record.dataset, query, *names, score] for query, score in scores.items()]
    return _labelled(pd.DataFrame(lines, columns=QUERY_COLUMNS), measure).to_csv(index=False, header=head)
