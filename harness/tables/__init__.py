"""The card's table from records: mean NDCG@10 x 100 by rerank depth, with the difference to PLAID.

A value that was not measured is missing, never zero and never a guess. A mean is over the data sets of the suite that
the row has; where that is not all of them the row says so, and PLAID's mean and the differences are over the very same
sets. Differences are taken before rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.methods.registry import end_to_end
from harness.records import FINAL, Record
from harness.system.errors import HarnessError
from harness.tables.formats import pipes, signed, tabular
from harness.tables.titles import CENTERS, METHODS, MISSING, center_label, method_title, scope, title

COLUMNS = ["model", "center", "method", "depth", "dataset", "ndcg10", "plaid", "delta"]


KEY = ["model", "center", "method", "depth"]


MEAN = "mean"


Marks = Mapping[tuple[str, str, str, str], str]
"""(model, center, method, depth), as in the long form -> what stands behind its difference to PLAID."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a model, a centering and a method."""

    model: str
    center: str
    method: str


@dataclass(frozen=True)
class Section:
    """A further table below the main one: a sentence above it, its lines as strings, and sentences below it."""

    caption: str
    lines: pd.DataFrame
    remarks: Sequence[str]


def long_form(
    records: Iterable[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> pd.DataFrame:
    """One line for each (row, depth, data set), and one for each mean; percent points, NaN where not measured."""
    found = {(r.model, r.center, r.method, r.dataset): r.ndcg10 for r in records}

    def percent(model: str, center: str, method: str, depth: str, dataset: str) -> float:
        return 100 * found.get((model, center, method, dataset), {}).get(depth, math.nan)

    lines = []
    for row in rows:
        for depth in [""] if end_to_end(row.method) else list(map(str, depths)):
            values = [percent(row.model, row.center, row.method, depth or FINAL, name) for name in datasets]
            plaid = [percent(row.model, "none", "plaid", FINAL, name) for name in datasets]
            covered = [i for i, name in enumerate(datasets) if (row.model, row.center, row.method, name) in found]
            means = (_mean([values[i] for i in covered]), _mean([plaid[i] for i in covered]))
            for name, value, reference in [*zip(datasets, values, plaid, strict=True), (MEAN, *means)]:
                label = [row.model, center_label(row.center), row.method, depth, name]
                lines.append([*label, value, reference, value - reference])
    return pd.DataFrame(lines, columns=COLUMNS)


def rows_of(
    records: Sequence[Record], models: Sequence[str], centers: Sequence[str], methods: Sequence[str]
) -> list[Row]:
    """The lines of a table: the card's (no and yes, MUVERA and SMVE) for each model, then everything else recorded.

    Empty `models`, `centers` or `methods` mean: all.
    """
    names = list(models) or sorted({record.model for record in records}, key=lambda name: _place(name, "model"))
    recorded = {Row(r.model, r.center, r.method) for r in records}
    card = {Row(m, c, x) for m in names for c in ("none", "corpus") for x in ("muvera", "smve")}
    whole = {Row(m, "none", "plaid") for m in names}
    wanted = [
        row
        for row in card | whole | recorded
        if row.model in names
        and (not methods or row.method.split("+")[0] in methods or row.method in methods or row.method == "plaid")
        and (not centers or row.center.split("+")[0] in centers or row.center in centers or end_to_end(row.method))
    ]
    return sorted(
        wanted,
        key=lambda row: (
            _is_own(row.center),  # not in the card, so behind all that is
            names.index(row.model),
            not end_to_end(row.method),
            _place(row.center, "center"),
            _place(row.method, "method"),
        ),
    )


def _place(name: str, group: str) -> tuple[int, str]:
    """Entries in the card's order, then variants of them, then the rest."""
    known = {"center": list(CENTERS), "method": list(METHODS), "model": ["lateon", "lateon_reg", "lateon_reg_smve"]}[
        group
    ]
    base = name.split("+")[0]
    return (known.index(base) if base in known else len(known), name)


def check_consistent(records: Sequence[Record]) -> None:
    """Refuse records of one model that are of different weights or options, or of one data set of different data.

    Raises
    ------
    HarnessError
        A mean or a difference over such records would compare what cannot be compared.
    """
    for what, name, inputs in (
        ("model", "model", ("weights", "model")),
        ("data set", "dataset", ("dataset",)),
    ):
        for key in inputs:
            found: dict[str, str] = {}
            for record in records:
                value = record.identity.get(key)
                if isinstance(value, dict):  # the query length differs between data sets
                    value = {option: chosen for option, chosen in value.items() if option != "query_length"}
                first = found.setdefault(getattr(record, name), str(value))
                if first != str(value):
                    raise HarnessError(
                        f"the records of {what} '{getattr(record, name)}' are of different {key}: a table must not mix "
                        f"them; measure all of them again with overwrite=true, or give one a {name}.name of its own."
                    )


def markdown(table: pd.DataFrame, datasets: Sequence[str], marks: Marks | None = None) -> str:
    """The card's layout; rows centered by each side's own mean, which the card does not have, come after it."""
    lines = _layout(table, datasets, marks or {})
    own = [_is_own(center) for center in lines["Center"]]
    parts = []
    if not all(own):
        parts.append(pipes(lines[[not flag for flag in own]]))
    if any(own):
        parts.append("Not in the card, this project's addition: each side centered by its own mean.")
        parts.append(pipes(lines[own]))
    return "\n\n".join(parts)


def latex(table: pd.DataFrame, datasets: Sequence[str], marks: Marks | None = None) -> str:
    """The same as a LaTeX tabular (booktabs)."""
    lines = _layout(table, datasets, marks or {})
    return "" if lines.empty else tabular(lines, "lllr" + "l" * (len(lines.columns) - 3))


def csv(table: pd.DataFrame) -> str:
    """Long form, percent points with four decimals, empty where not measured; a mean over fewer sets is left empty."""
    missing_sets = table[table["dataset"] != MEAN].groupby(KEY, dropna=False)["ndcg10"].agg(lambda v: v.isna().any())
    partial = (table["dataset"] == MEAN) & table[KEY].apply(tuple, axis=1).map(missing_sets).astype(bool)
    shown = table.copy()
    shown.loc[partial, ["ndcg10", "plaid", "delta"]] = math.nan
    return shown.to_csv(index=False, float_format="%.4f")


def remarks(
    table: pd.DataFrame, records: Sequence[Record], suite: str, datasets: Sequence[str], marks: Marks | None = None
) -> list[str]:
    """What a reader of the table must know: the sets, what is missing, the ceiling, and the records' own notes."""
    rows = set(table[["model", "center", "method"]].itertuples(index=False, name=None))
    shown = [record for record in records if (record.model, center_label(record.center), record.method) in rows]
    lines = [f"Mean NDCG@10 x 100 over {suite} ({', '.join(datasets)}); in brackets the difference to PLAID."]
    if suite == "beir8":
        lines.append("The model card does not name its eight data sets; these eight are an assumption.")
    if count := missing(table):
        lines.append(f"Not measured ({MISSING}): {count} of {(table['dataset'] != MEAN).sum()} cells.")
    whole = table[table["method"].map(end_to_end) & (table["dataset"] == MEAN)]
    for model, center, method, depth, _, value, _, delta in whole.itertuples(index=False):
        sets = table[(table["model"] == model) & (table["method"] == method) & (table["dataset"] != MEAN)]["ndcg10"]
        part = "" if sets.notna().all() else f" [{sets.notna().sum()} of {len(datasets)} sets]"
        difference = math.nan if method == "plaid" else delta  # from itself
        mark = (marks or {}).get((model, center, method, depth), "")
        lines.append(f"{method_title(method)}, {title(model)}{part}: {_cell(value, difference, mark)}.")
    notes = {(title(r.model), note) for r in shown for note in r.notes if not note.startswith("mu_Q")}
    lines += [f"{name}: {note}." for name, note in sorted(notes)]
    means = {(r.dataset, center_label(r.center), note) for r in shown for note in r.notes if note.startswith("mu_Q")}
    lines += [f"{name}, center {center}: {note}." for name, center, note in sorted(means)]
    return lines


def missing(table: pd.DataFrame) -> int:
    """How many cells of single data sets were not measured."""
    return int((table["ndcg10"].isna() & (table["dataset"] != MEAN)).sum())


def _layout(table: pd.DataFrame, datasets: Sequence[str], marks: Marks) -> pd.DataFrame:
    """One line for each (model, center, method) of a first stage, as strings."""
    lines = []
    stages = table[~table["method"].map(end_to_end)]
    for (model, center, method), cells in stages.groupby(["model", "center", "method"], sort=False):
        means = cells[cells["dataset"] == MEAN]
        sets = cells[cells["dataset"] != MEAN]
        count = sets[sets["ndcg10"].notna()]["dataset"].nunique()
        plaid = plaid_mean(table, cells)
        line = {"Model": title(str(model)) + scope(count, datasets), "Center": center}
        line["PLAID"] = MISSING if math.isnan(plaid) else f"{plaid:.2f}"
        line["Method"] = method_title(str(method))
        line |= {
            f"rk={depth}": _cell(value, delta, marks.get((str(model), str(center), str(method), depth), ""))
            for depth, value, delta in means[["depth", "ndcg10", "delta"]].itertuples(index=False)
        }
        lines.append(line)
    return pd.DataFrame(lines, columns=list(lines[0]) if lines else ["Center"])


def plaid_mean(table: pd.DataFrame, cells: pd.DataFrame) -> float:
    """PLAID's mean beside one row's lines: over the row's sets; where it has none, PLAID's own, if it is whole."""
    means, sets = cells[cells["dataset"] == MEAN], cells[cells["dataset"] != MEAN]
    if sets["ndcg10"].isna().all():
        model = cells["model"].iloc[0]
        own = table[(table["model"] == model) & (table["method"] == "plaid") & (table["dataset"] != MEAN)]["ndcg10"]
        if own.notna().all() and len(own):
            return float(own.mean())
    plaid = means["plaid"].dropna()
    return float(plaid.iloc[0]) if len(plaid) else math.nan


def _is_own(center: str) -> bool:
    return center.split("+")[0] == "own"


def _cell(value: float, delta: float, mark: str) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:.2f}" + ("" if math.isnan(delta) else f" ({signed(delta)}{mark})")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
