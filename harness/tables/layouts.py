"""The table as people read it: Markdown in the card's layout, LaTeX, and the remarks below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.config import suites
from harness.config.measures import NDCG10, Measure
from harness.methods.registry import end_to_end
from harness.records import Record, notes
from harness.tables import by_dataset
from harness.tables.formats import MISSING, pipes, scope, score, tabular
from harness.tables.rows import ADDED, CARD, PLAID, RECOMMENDED, block_of
from harness.tables.table import MEAN, has_differences, missing, plaid_mean
from harness.tables.titles import center_label, method_title, title
from harness.vectors import centering

SUITES = {
    "beir8": "The model card does not name its eight data sets; these eight are inferred (conf/suite/beir8.yaml).",
    "beir14": "The model card does not name its fourteen data sets; here they are BEIR without CQADupStack.",
}
"""What a reader must know of the data sets of a suite."""
Marks = Mapping[tuple[str, str, str, str], str]
"""(model, center, method, depth), as in the long form -> the significance mark of its difference to PLAID."""


@dataclass(frozen=True)
class Section:
    """A further table below the main one: a caption above it, its lines as strings, and remarks below it."""

    caption: str
    lines: pd.DataFrame
    remarks: Sequence[str]


def markdown(
    table: pd.DataFrame, datasets: Sequence[str], marks: Marks | None = None, beside: Marks | None = None
) -> str:
    """The card's layout; the rows with centerings that the card does not have follow in tables of their own.

    Parameters
    ----------
    beside
        What stands behind a value and its difference (`harness.tables.agreement`).
    """
    lines, blocks = _layout(table, datasets, marks or {}, beside or {})
    added = "; ".join(not_in_card(table[["center", "method"]].drop_duplicates().itertuples(index=False)).values())
    captions = {
        RECOMMENDED: "The best recipe without training (center=recommended), not in the card.",
        ADDED: f"Not in the card, this project's addition: {added}.",
    }
    parts = []
    for block in sorted(set(blocks)):
        parts += [captions[block]] if block in captions else []
        parts.append(pipes(lines[[other == block for other in blocks]]))
    return "\n\n".join(parts)


def not_in_card(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The centerings of (centering, method) that the card does not have: label -> what each does, in words."""
    bases = dict.fromkeys(center.split("+")[0] for center, method in pairs if block_of(center, method) == ADDED)
    return {center_label(base): centering.KINDS[base].words or center_label(base) for base in bases}


def latex(table: pd.DataFrame, datasets: Sequence[str], marks: Marks | None = None, beside: Marks | None = None) -> str:
    """The same lines as a LaTeX tabular (booktabs)."""
    lines, _ = _layout(table, datasets, marks or {}, beside or {})
    width = len(lines.columns)
    columns = "ll" + "r" * (width - 2) if by_dataset.is_for(table) else "lllr" + "l" * (width - 3)
    return "" if lines.empty else tabular(lines, columns)


def lines(table: pd.DataFrame, datasets: Sequence[str]) -> pd.DataFrame:
    """The lines of the card's layout as strings, all in one table."""
    return _layout(table, datasets, {}, {})[0]


def _layout(
    table: pd.DataFrame, datasets: Sequence[str], marks: Marks, beside: Marks
) -> tuple[pd.DataFrame, list[int]]:
    """One line for each (model, center, method) of a first stage, as strings; and the block of each."""
    if by_dataset.is_for(table):
        shown = by_dataset.lines(table)
        return shown, [CARD] * len(shown)
    lines, blocks = [], []
    stages = table[~table["method"].map(end_to_end)]
    for (model, center, method), cells in stages.groupby(["model", "center", "method"], sort=False):
        means = cells[cells["dataset"] == MEAN]
        sets = cells[cells["dataset"] != MEAN]
        count = sets[sets["ndcg10"].notna()]["dataset"].nunique()
        plaid = plaid_mean(table, cells)
        line = {"Model": title(str(model)) + scope(count, datasets), "Center": center_label(str(center))}
        line["PLAID"] = MISSING if math.isnan(plaid) else f"{plaid:.2f}"
        line["Method"] = method_title(str(method))
        for depth, value, sd, delta in means[["depth", "ndcg10", "sd", "delta"]].itertuples(index=False):
            key = (str(model), str(center), str(method), depth)
            line[f"rk={depth}"] = score(value, sd, delta, marks.get(key, "")) + beside.get(key, "")
        lines.append(line)
        blocks.append(block_of(str(center), str(method)))
    return pd.DataFrame(lines, columns=list(lines[0]) if lines else ["Center"]), blocks


def remarks(
    table: pd.DataFrame,
    records: Sequence[Record],
    suite: str,
    datasets: Sequence[str],
    marks: Marks | None = None,
    beside: Marks | None = None,
    measure: Measure = NDCG10,
) -> list[str]:
    """What a reader of the table must know: the data sets, what is missing, the ceiling, and the records' notes."""
    rows = set(table[["model", "center", "method"]].itertuples(index=False, name=None))
    shown = [record for record in records if (record.model, record.center, record.method) in rows]
    brackets = "; in brackets the difference to PLAID" if has_differences(table) else ""
    lines = [f"Mean {measure.title} x 100 over {suite} ({', '.join(datasets)}){brackets}."]
    lines += [SUITES[suite]] if suite in SUITES else []
    groups = {name: suites.members(name) for name in datasets if suites.is_group(name)}
    lines += [f"{name} is the mean over its {len(own)} data sets, and counts as one." for name, own in groups.items()]
    if count := missing(table):
        lines.append(f"Not measured ({MISSING}): {count} of {(table['dataset'] != MEAN).sum()} cells.")
    lines += _draws(table)
    lines += _end_to_end(table, datasets, marks or {}, beside or {})
    lines += notes.sentences(shown, title, center_label)
    return lines


def _end_to_end(table: pd.DataFrame, datasets: Sequence[str], marks: Marks, beside: Marks) -> list[str]:
    """One sentence for each method that ranks with MaxSim itself, and for each model."""
    lines = []
    means = table[table["method"].map(end_to_end) & (table["dataset"] == MEAN)]
    for model, center, method, depth, _, value, _, delta, sd, _ in means.itertuples(index=False):
        sets = table[(table["model"] == model) & (table["method"] == method) & (table["dataset"] != MEAN)]["ndcg10"]
        part = "" if sets.notna().all() else f" [{sets.notna().sum()} of {len(datasets)} sets]"
        difference = math.nan if method == PLAID else delta  # PLAID has none to itself
        key = (model, center, method, depth)
        shown = score(value, sd, difference, marks.get(key, "")) + beside.get(key, "")
        lines.append(f"{method_title(method)}, {title(model)}{part}: {shown}.")
    return lines


def _draws(table: pd.DataFrame) -> list[str]:
    """How many draws of their random numbers the first stages have."""
    means = table[(table["dataset"] == MEAN) & table["ndcg10"].notna() & ~table["method"].map(end_to_end)]
    found = means[means["draws"] > 0][["method", "center", "draws"]].drop_duplicates()
    several, single = found[found["draws"] > 1], found[found["draws"] == 1]
    counts: dict[int, list[str]] = {}
    for method, count in several[["method", "draws"]].drop_duplicates().itertuples(index=False):
        counts.setdefault(int(count), []).append(method_title(str(method)))
    lines = []
    if counts:
        listed = "; ".join(f"{', '.join(names)}: {count}" for count, names in sorted(counts.items(), reverse=True))
        lines.append(f"Means over independent draws of the projections ± standard deviation ({listed}).")
    if len(single):
        # With the centering where the same method has several draws under another one.
        names = [
            method_title(method) + (f" {center_label(center)}" if method in set(several["method"]) else "")
            for method, center in single[["method", "center"]].itertuples(index=False)
        ]
        lines.append(
            f"One draw of the projections ({', '.join(dict.fromkeys(names))}): another may differ by points "
            "(method.seeds=10 tells)."
        )
    return lines
