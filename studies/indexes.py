"""Indexes as deployed, on the sets of offline8: MUVERA's vectors in those of faiss, SMVE's codes in VSAG's.

    python studies/indexes.py [DATASET ...] [option=value ...]
    python studies/indexes.py report

The first measures every index on each data set, or on those that are named; what is finished is not measured again. The
second writes what each index loses to the same codes without one to results/indexes/losses.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd
from omegaconf import DictConfig

from harness import records
from harness.config import compose
from harness.config.entries import entry
from harness.evaluation.significance import compare
from harness.records import Record
from harness.run import run
from harness.system.files import write_text
from harness.tables import costs, titles
from harness.tables.differences import Difference
from harness.tables.rows import row_of

RESULTS = Path(__file__).resolve().parents[1] / "results" / "indexes"
DEPTHS = ("0", "50", "100")
MARK = "+index="
BASE = ("model=answerai_colbert_small", "center=recommended", "reference=null", "depths=[0,50,100]")
INDEXES = {
    "method=muvera": (
        "index=flat",
        "index=sq8",
        "index=pq",
        "index=rabitq",
        "index=hnsw index.efSearch=128",
        "index=ivf index.nprobe=64",
    ),
    "method=smve method.width=16384 method.keep=8": (
        "index=flat",
        "index=sindi",
        "index=sindi index.query_prune_ratio=0.3",
        "index=sindi index.query_prune_ratio=0.6",
        "index=sindi index.doc_prune_ratio=0.3",
    ),
}
"""Method -> the indexes of its codes: those of the same draw, so that their differences are the indexes' own.

SMVE has 4.8 KB per document here: at its default size, one pass over all documents takes an hour on two slow cores.
"""


def cells(dataset: str, options: Sequence[str]) -> Iterator[DictConfig]:
    """The configuration of each index on a data set."""
    for method, indexes in INDEXES.items():
        for index in indexes:
            words = [*BASE, f"dataset={dataset}", f"results_dir={RESULTS}", *options, *method.split(), *index.split()]
            yield compose.composed(compose.expand(words))


def losses() -> str:
    """A table: a line for each index, with its costs and what it loses."""
    found: dict[str, dict[str, Record]] = {}
    everything = [*records.read_all(RESULTS)]
    for record in everything:
        if not record.method.startswith(("plaid", "exact")):
            found.setdefault(record.method, {})[record.dataset] = record
    lines = []
    for method, own in sorted(found.items()):
        flat = found[method.partition(MARK)[0]]
        row = row_of(next(iter(own.values())))
        cost = costs.measured(everything, [row], [*own])[row]
        recall = fmean(one.details.get("index_recall", {"100": 1.0})["100"] for one in own.values())
        line = {
            "Codes": titles.method_title(method.partition(MARK)[0]),
            "`index=`": method.partition(MARK)[2].replace("+", " ") or "flat",
            "Bytes / document": f"{fmean(costs.bytes_at(one, '0') for one in own.values()):,.0f}",
            "Recall@100, %": f"{100 * recall:.1f}",
            "Build, s": f"{fmean(one.build_seconds for one in cost.values()):.1f}",
            "ms / query": f"{fmean(one.first_stage_ms for one in cost.values()):.1f}",
        }
        lines.append(line | {f"rk={depth}": _loss(own, flat, depth) for depth in DEPTHS})
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)) + "\n"


def _loss(own: dict[str, Record], flat: dict[str, Record], depth: str) -> str:
    """The difference between codes in an index and the same codes without one, with its interval over queries."""
    if own is flat:
        return f"{100 * fmean(one.ndcg10[depth] for one in own.values()):.2f}"
    pairs = {name: Difference.of(one, depth, flat[name], depth) for name, one in own.items()}
    found = compare({name: 100 * pair.mean for name, pair in pairs.items()})
    return f"{found.delta:+.2f} [{found.ci_low:+.2f}, {found.ci_high:+.2f}]"


def main(words: list[str]) -> None:
    """Measure the indexes on the data sets that are named, or write the table."""
    if words == ["report"]:
        write_text(RESULTS / "losses.md", losses())
        return
    options = [word for word in words if "=" in word]
    named, datasets = [word for word in words if "=" not in word], entry("suite", "offline8")["datasets"]
    if unknown := [name for name in named if name not in datasets]:
        raise SystemExit(f"{unknown[0]} is no data set of offline8; there are: {', '.join(datasets)}")
    for dataset in named or datasets:
        for cell in cells(dataset, options):  # one by one, so that a stopped run loses one index
            if failures := run([cell]):
                raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main(sys.argv[1:])
