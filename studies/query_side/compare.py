"""The study's tables and its four tests, from the records: studies/query_side/plan.md fixed both before the first run.

    python studies/query_side/compare.py [results_dir, or results/query_side]

Writes results/query_side/primary.md, once all four can be made, and one table for each method and condition: NDCG@10 x
100 of every arm at every depth, mean over the eight sets ± standard deviation over draws, and at rk=0 on each set.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from arms import ARMS, OF_SMVE, center_of  # beside this file

from harness import tables
from harness.config.entries import ROOT, entry
from harness.records import FINAL, Record, read_all
from harness.system.files import write_text
from harness.tables import Row, formats, planned
from harness.tables.differences import Difference

MODEL = "answerai_colbert_small"
CONDITIONS = {"expansion": MODEL, "no-expansion": f"{MODEL}+query_expansion=false"}
FOLDER = ROOT / "results" / "query_side"


@dataclass(frozen=True)
class Primary:
    """A comparison of the plan: an arm of a method at a depth, less another one (None: exact search)."""

    method: str
    depth: str
    arm: str
    other: str | None

    @property
    def title(self) -> str:
        """The comparison in words."""
        return f"{self.method.upper()}, rk={self.depth}: {self.arm} against {self.other or 'exact search'}"


PRIMARY = (
    Primary("muvera", "0", "shrinkage", "card"),
    Primary("muvera", "0", "shrinkage", "own"),
    Primary("smve", "0", "real + corpus", "card"),
    Primary("muvera", "50", "shrinkage", None),
)


def name_of(arm: str) -> str:
    """The name of an arm's centering in records."""
    return center_of(ARMS[arm]).variant


def primary(found: dict[tuple[Row, str], Record], datasets: Sequence[str]) -> pd.DataFrame:
    """The four comparisons, with Holm's correction over them alone."""
    comparisons = {}
    for one in PRIMARY:
        row = Row(MODEL, name_of(one.arm), one.method)
        other = Row(MODEL, name_of(one.other), one.method) if one.other else Row(MODEL, "none", "exact")
        depth = one.depth if one.other else FINAL
        comparisons[one.title] = {
            name: Difference.of(found[row, name], one.depth, found[other, name], depth) for name in datasets
        }
    return planned.table(comparisons)


def table(records: Sequence[Record], model: str, method: str, datasets: Sequence[str]) -> pd.DataFrame:
    """Every arm of a method: the mean at each depth, and each set at rk=0."""
    depths = sorted({int(depth) for record in records for depth in record.ndcg10 if depth != FINAL})
    arms = {arm: name_of(arm) for arm in ARMS if method == "muvera" or arm in OF_SMVE}
    long = tables.long_form(records, [Row(model, center, method) for center in arms.values()], datasets, depths)
    lines = []
    for arm, center in arms.items():
        own = long[long["center"] == center]
        means = own[own["dataset"] == tables.MEAN]
        line = {"Arm": arm, "Draws": str(means["draws"].min())}
        for depth, value, sd in means[["depth", "ndcg10", "sd"]].itertuples(index=False):
            line[f"rk={depth}"] = f"{value:.2f} ± {sd:.2f}"
        first = own[(own["depth"] == "0") & (own["dataset"] != tables.MEAN)]
        lines.append(
            {**line, **{name: f"{value:.2f}" for name, value in zip(first["dataset"], first["ndcg10"], strict=True)}}
        )
    exact = {
        record.dataset: 100 * record.ndcg10[FINAL]
        for record in records
        if record.method == "exact" and record.model == model
    }
    values = {name: f"{exact[name]:.2f}" for name in datasets}
    ceiling = {"Arm": "exact search", "Draws": "", f"rk={depths[-1]}": f"{np.mean(list(exact.values())):.2f}", **values}
    return pd.DataFrame([*lines, ceiling]).fillna("")


def main(folder: Path) -> None:
    """Write all tables for which the cells were measured."""
    datasets = entry("suite", "offline8")["datasets"]
    records = list(read_all(folder, datasets))
    found = tables.by_row(records)
    needed = [Row(MODEL, name_of(arm), one.method) for one in PRIMARY for arm in (one.arm, one.other) if arm]
    if all((row, name) in found for row in needed for name in datasets):  # one family: all of it, or nothing
        write_text(FOLDER / "primary.md", formats.pipes(primary(found, datasets)) + "\n")
    for condition, model in CONDITIONS.items():
        for method in ("muvera", "smve"):
            if {name for row, name in found if (row.model, row.method) == (model, method)} == {*datasets}:
                text = formats.pipes(table(records, model, method, datasets))
                write_text(FOLDER / f"{method}-{condition}.md", text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
