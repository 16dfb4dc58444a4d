"""The table, the figures and the four tests of the comparison: studies/rivals/plan.md fixed them before the first run.

    python studies/rivals/compare.py [DATASET ...] [option=value ...]

Writes arms.csv, arms.md and primary.md in results/rivals, as far as the cells were measured, and the
figure sizes-offline8: NDCG@10 by bytes per document and by the times of times.py. With names of data sets it prints the
table over these alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean

import numpy as np
import pandas as pd
from arms import OTHERS, arms, cell_of, divided  # beside this file, as is tune
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from tune import record_of

from harness.config.entries import ROOT, entry
from harness.figures import style
from harness.records import FINAL, Record
from harness.system.files import write_text
from harness.tables import formats, planned
from harness.tables.differences import Difference

FOLDER = ROOT / "results" / "rivals"
DEPTHS = ("0", "50", "100")
PRIMARY = (
    ("0", "LEMUR, 4 KB", "MUVERA, 4 KB"),
    ("0", "LEMUR, 16 KB", "SMVE, 16 KB"),
    ("100", "LEMUR, 4 KB", "BM25"),
    ("0", "MUVERA, 40 KB", "MUVERA, the card's size"),
)
TIMES = FOLDER / "times.csv"
COSTS = {"kb": "KB per document", "ms": "ms per query (SciFact)"}
LOOKS = {
    "BM25": "bm25",
    "MiniLM": "dense",
    "1-bit codes": "binary",
    "MUVERA": "muvera",
    "LEMUR": "lemur",
    "SMVE": "smve",
    "exact search": "exact",
    "PLAID": "plaid",
}
"""First stage -> the method of its colour and marker."""
MARKERS = {"exact search": "*", "PLAID": "D"}
"""First stage -> its marker here; the style of their methods is a line without one."""
Found = Mapping[str, Mapping[str, Record]]
"""Arm -> data set -> record."""


def measured(words: Sequence[str], datasets: Sequence[str]) -> dict[str, dict[str, Record]]:
    """The arms that were measured on all of the data sets, and what they are compared with."""
    found = {}
    for named in (*arms().values(), OTHERS):
        for arm, options in named.items():
            try:
                found[arm] = {name: record_of(cell_of(options, name, words)) for name in datasets}
            except FileNotFoundError:
                sys.stdout.write(f"{arm}: not measured on all of them\n")
    return found


def primary(found: Found) -> pd.DataFrame:
    """The four comparisons of the plan."""
    return planned.table(
        {
            f"rk={depth}: {left} against {right}": {
                name: Difference.of(record, depth, found[right][name], depth) for name, record in found[left].items()
            }
            for depth, left, right in PRIMARY
        }
    )


def lines(found: Found) -> pd.DataFrame:
    """A line for each arm and depth: bytes per document, NDCG@10 x 100 (mean over sets), its deviation over draws."""
    rows = []
    for arm, records in found.items():
        size = fmean(record.bytes["index"] / record.details["documents"] for record in records.values())
        for depth in DEPTHS:
            at = depth if depth in next(iter(records.values())).ndcg10 else FINAL
            means = [
                record.draws.means_at(at) if record.draws.seeds else [record.ndcg10[at]] for record in records.values()
            ]
            of_draws = 100 * np.mean(means, axis=0)
            spread = of_draws.std(ddof=1) if len(of_draws) > 1 else np.nan
            rows.append((arm, size, int(depth), of_draws.mean(), spread, len(of_draws)))
    return pd.DataFrame(rows, columns=["arm", "bytes", "depth", "ndcg10", "sd", "draws"])


def table(long: pd.DataFrame) -> pd.DataFrame:
    """The same, a line for each arm, by size."""
    rows = []
    for (size, arm), own in long.sort_values(["bytes", "depth"]).groupby(["bytes", "arm"]):
        line = {"First stage": arm, "KB per document": f"{size / 1024:.2f}"}
        line["ms per query"] = formats.decimals(own["ms"].iloc[0], 2)
        for depth, value, sd in own[["depth", "ndcg10", "sd"]].itertuples(index=False):
            line[f"rk={depth}"] = formats.score(value, sd, np.nan)
        rows.append(line)
    return pd.DataFrame(rows)


def figure(long: pd.DataFrame) -> Figure:
    """NDCG@10 by bytes and by time, a panel for each depth; the sizes of one first stage are joined by a line."""
    drawn, panels = style.panels(len(COSTS), len(DEPTHS), style.WIDTH, 2.4, sharey=True)
    for panel, (cost, depth) in zip(panels, product(COSTS, DEPTHS), strict=True):
        at_depth = long[long["depth"] == int(depth)]
        for (name, pooled), own in at_depth.groupby([at_depth["arm"].map(name_of), at_depth["arm"].map(is_pooled)]):
            best = own.loc[own.groupby("bytes")["ndcg10"].idxmax()]  # of several settings of one size
            look = style.method_look(LOOKS[name])
            panel.errorbar(
                best[cost],
                best["ndcg10"],
                best["sd"].fillna(0),
                label=name + (", pooled tokens" if pooled else ""),
                color=look.color,
                marker=look.marker or MARKERS[name],
                linestyle=":" if pooled else "-",
                fillstyle="none" if pooled else "full",
            )
        panel.set_xscale("log", base=4)
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.set_xlabel(COSTS[cost])
        panel.set_title("first stage alone" if depth == "0" else f"{depth} reranked")
    for panel in panels[:: len(DEPTHS)]:
        panel.set_ylabel("mean NDCG@10 x 100")
    style.legend_under(drawn, panels)
    return drawn


def name_of(arm: str) -> str:
    """The first stage of an arm, without its size."""
    return arm.split(",")[0]


def is_pooled(arm: str) -> bool:
    """Whether an arm has pooled tokens."""
    return "pooled" in arm


def main(words: list[str]) -> None:
    """Write what can be made of the cells that were measured."""
    datasets = entry("suite", "offline8")["datasets"]
    options, some = divided(words, datasets)
    found = measured(options, some or datasets)
    times = pd.read_csv(TIMES) if TIMES.exists() else pd.DataFrame(columns=["arm", "ms"])
    long = lines(found).merge(times.groupby("arm")["ms"].median().reset_index(), on="arm", how="left")
    long = long.assign(kb=long["bytes"] / 1024)
    if some:
        sys.stdout.write(formats.pipes(table(long)) + "\n")
        return
    write_text(FOLDER / "arms.csv", long.to_csv(index=False, float_format="%.4f"))
    write_text(FOLDER / "arms.md", formats.pipes(table(long)) + "\n")
    if all(arm in found for _, *pair in PRIMARY for arm in pair):  # one family: all of it, or nothing
        write_text(FOLDER / "primary.md", formats.pipes(primary(found)) + "\n")
    with style.used():
        style.save(figure(long), ROOT / "results" / "figures", "sizes-offline8")


if __name__ == "__main__":
    main(sys.argv[1:])
