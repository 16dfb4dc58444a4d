"""The card's table from records: mean NDCG@10 x 100 by rerank depth, with the difference to PLAID.

A value that was not measured is missing, never zero and never a guess. A mean is over the data sets of the suite that
the row has; where that is not all of them the row says so, and PLAID's mean and the differences are over the very same
sets. Differences are taken before rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.config import choices, entry
from harness.records import FINAL, Record

COLUMNS = ["model", "center", "method", "depth", "dataset", "ndcg10", "plaid", "delta"]
CENTERS = {"none": "no", "corpus": "yes", "own": "own"}
METHODS = {"plaid": "PLAID", "muvera": "MUVERA", "smve": "SMVE", "exact": "exact MaxSim"}
MISSING = "–"
MEAN = "mean"


@dataclass(frozen=True)
class Row:
    """One line of the table: a model, a centering and a method."""

    model: str
    center: str
    method: str


def long_form(
    records: Iterable[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> pd.DataFrame:
    """One line for each (row, depth, data set), and one for each mean; percent points, NaN where not measured."""
    found = {(r.model, r.center, r.method, r.dataset): r.ndcg10 for r in records}

    def percent(model: str, center: str, method: str, depth: str, dataset: str) -> float:
        return 100 * found.get((model, center, method, dataset), {}).get(depth, math.nan)

    lines = []
    for row in rows:
        for depth in [""] if row.method in ("plaid", "exact") else list(map(str, depths)):
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
        and (not centers or row.center.split("+")[0] in centers or row.center in centers or row in whole)
    ]
    order = {"plaid": 0, "exact": 1}
    return sorted(
        wanted,
        key=lambda row: (
            names.index(row.model),
            order.get(row.method, 2),
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


def markdown(table: pd.DataFrame, datasets: Sequence[str]) -> str:
    """The card's layout; rows centered by each side's own mean, which the card does not have, come after it."""
    lines = _layout(table, datasets)
    card, own = lines[~lines.index.isin(_own(lines))], lines[lines.index.isin(_own(lines))]
    text = _pipes(card)
    if len(own):
        text += "\n\nNot in the card, this project's addition: each side centered by its own mean.\n\n" + _pipes(own)
    return text


def latex(table: pd.DataFrame, datasets: Sequence[str]) -> str:
    """The same as a LaTeX tabular (booktabs)."""
    lines = _layout(table, datasets)
    escaped = lines.map(lambda cell: str(cell).replace("_", r"\_").replace("%", r"\%").replace("–", "--"))
    return escaped.style.hide(axis="index").to_latex(hrules=True, column_format="lllr" + "l" * (len(lines.columns) - 3))


def csv(table: pd.DataFrame) -> str:
    """Long form, percent points with four decimals, empty where not measured."""
    return table.to_csv(index=False, float_format="%.4f")


def remarks(table: pd.DataFrame, records: Sequence[Record], suite: str, datasets: Sequence[str]) -> list[str]:
    """What a reader of the table must know: the sets, what is missing, the ceiling, and the records' own notes."""
    shown = set(table["model"])
    lines = [f"Mean NDCG@10 x 100 over {suite} ({', '.join(datasets)}); in brackets the difference to PLAID."]
    if suite == "beir8":
        lines.append("The model card does not name its eight data sets; these eight are an assumption.")
    if count := missing(table):
        lines.append(f"Not measured ({MISSING}): {count} of {(table['dataset'] != MEAN).sum()} cells.")
    for model, lines_of in table[(table["method"] == "exact") & (table["dataset"] == MEAN)].groupby("model"):
        value, delta = lines_of.iloc[0][["ndcg10", "delta"]]
        if not math.isnan(value):
            lines.append(f"Exact MaxSim, {title(str(model))}: {value:.2f} ({_signed(delta)}).")
    noted = {(r.model, r.center, r.dataset, note) for r in records for note in r.notes if r.model in shown}
    for model, note in sorted({(m, n) for m, _, _, n in noted if not n.startswith("mu_Q")}):
        lines.append(f"{title(model)}: {note}.")
    for name, note in sorted({(d, n) for _, _, d, n in noted if n.startswith("mu_Q") and d in datasets}):
        lines.append(f"{name}, {note}.")
    return lines


def missing(table: pd.DataFrame) -> int:
    """How many cells of single data sets were not measured."""
    return int((table["ndcg10"].isna() & (table["dataset"] != MEAN)).sum())


def center_label(center: str) -> str:
    """`no`, `yes` or `own`, with the options of a variant behind it."""
    base, *rest = center.split("+")
    return "+".join([CENTERS.get(base, base), *rest])


def title(model: str) -> str:
    """A model's title in tables, with the options of a variant behind it."""
    base, *rest = model.split("+")
    found = entry("model", base).get("title") if base in choices("model") else None
    return " ".join([found or base, *rest])


def _method_title(method: str) -> str:
    base, *rest = method.split("+")
    return " ".join([METHODS.get(base, base), *rest])


def _layout(table: pd.DataFrame, datasets: Sequence[str]) -> pd.DataFrame:
    """One line for each (model, center, method) of a first stage, as strings."""
    lines = []
    stages = table[~table["method"].isin(["plaid", "exact"])]
    for (model, center, method), cells in stages.groupby(["model", "center", "method"], sort=False):
        means = cells[cells["dataset"] == MEAN]
        sets = cells[cells["dataset"] != MEAN]
        count = sets[sets["ndcg10"].notna()]["dataset"].nunique()
        plaid = means["plaid"].dropna()
        if not count:  # nothing measured for this row: PLAID's own mean, if it is whole
            own = table[(table["model"] == model) & (table["method"] == "plaid") & (table["dataset"] != MEAN)]["ndcg10"]
            plaid = pd.Series([own.mean()]) if own.notna().all() and len(own) else plaid
        scope = f" [{count} of {len(datasets)} sets]" if 0 < count < len(datasets) else ""
        line = {"Model": title(str(model)) + scope, "Center": center}
        line["PLAID"] = f"{plaid.iloc[0]:.2f}" if len(plaid) else MISSING
        line["Method"] = _method_title(str(method))
        line |= {
            f"rk={depth}": _cell(*values)
            for depth, *values in means[["depth", "ndcg10", "delta"]].itertuples(index=False)
        }
        lines.append(line)
    return pd.DataFrame(lines)


def _own(lines: pd.DataFrame) -> pd.Index:
    return lines.index[lines["Center"].str.startswith("own")] if len(lines) else lines.index


def _cell(value: float, delta: float) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:.2f}" + ("" if math.isnan(delta) else f" ({_signed(delta)})")


def _signed(delta: float) -> str:
    """One decimal and a sign; +0.0 for what rounds to nothing."""
    return f"{round(delta, 1) + 0.0:+.1f}"


def _pipes(lines: pd.DataFrame) -> str:
    head, *body = ["| " + " | ".join(cells) + " |" for cells in [list(lines.columns), *lines.to_numpy().tolist()]]
    return "\n".join([head, "|" + "---|" * len(lines.columns), *body])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
