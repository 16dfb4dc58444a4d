"""Indexes as deployed, on the sets of offline8: MUVERA's vectors in those of faiss, SMVE's codes in VSAG's.

    python studies/indexes.py [DATASET ...] [option=value ...]

Measures every index on each data set, or on those that are named. What is finished is not measured again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from omegaconf import DictConfig

from harness.config import compose
from harness.config.entries import entry
from harness.run import run

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
            words = [*BASE, f"dataset={dataset}", *options, *method.split(), *index.split()]
            yield compose.composed(compose.expand(words))


def main(words: list[str]) -> None:
    """Measure the indexes on the data sets that are named."""
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
