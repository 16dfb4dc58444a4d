"""The harness beside studies/oracle/encode.py: token vectors, and NDCG@10 of exact search on the same documents.

    python studies/oracle/compare.py FOLDER dataset=NAME model=NAME [option=value ...]

FOLDER is what encode.py wrote. The token vectors of the harness come from its cache, or are made; they are float16,
those of the folder float32.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import harness
from harness.config import compose
from harness.measure.grouping import by_testbed
from harness.measure.testbed import Testbed
from harness.vectors.store import TokenVectors

Vectors = dict[str, np.ndarray]
SAME = 1e-4
"""Difference in a query's NDCG@10 (0 to 1) up to which it counts as the same."""


def compared(folder: Path, words: Sequence[str]) -> dict[str, float]:
    """What is the same: texts with as many tokens, the least cosine of two token vectors, and NDCG@10 of both."""
    ((options, _),) = by_testbed([compose.composed(compose.expand([*words, "reference=null"]))])
    testbed = Testbed(options)
    stores = {"documents": (testbed.docs, testbed.dataset.docs), "queries": (testbed.queries, testbed.dataset.queries)}
    ours = {side: _chosen(store, list(ids), folder / side) for side, (store, ids) in stores.items()}
    found: dict[str, float] = {}
    for side, vectors in ours.items():
        theirs = _read(folder / side)
        same = [name for name in vectors if len(vectors[name]) == len(theirs[name])]
        cosines = np.concatenate([_cosines(vectors[name], theirs[name]) for name in same])
        found |= {side: len(vectors), f"{side} with as many tokens": len(same)}
        found |= {f"token vectors of {side}": len(cosines), f"least cosine, {side}": float(cosines.min())}
    evaluated = harness.evaluate(*ours.values(), testbed.dataset.qrels, ["exact"], center="none", depths=[0])
    here = evaluated.per_query[("exact", "final")].to_numpy()
    scores = json.loads((folder / "ndcg10.json").read_text())
    there = np.array([scores[query] for query in ours["queries"]])
    differ = int((np.abs(here - there) > SAME).sum())
    return {**found, "NDCG@10, here": here.mean(), "NDCG@10, there": there.mean(), "queries that differ": differ}


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The cosine of each token vector with its twin [tokens]."""
    return (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


def _chosen(store: TokenVectors, ids: Sequence[str], folder: Path) -> Vectors:
    """The harness's token vectors of the texts of a folder."""
    rows = {name: row for row, name in enumerate(ids)}
    return {name: store[rows[name]] for name in json.loads((folder / "ids.json").read_text())}


def _read(folder: Path) -> Vectors:
    """The token vectors of a folder."""
    ends = np.cumsum(np.load(folder / "lengths.npy", allow_pickle=False))
    texts = np.split(np.load(folder / "tokens.npy", allow_pickle=False), ends[:-1])
    return dict(zip(json.loads((folder / "ids.json").read_text()), texts, strict=True))


if __name__ == "__main__":
    for title, value in compared(Path(sys.argv[1]), sys.argv[2:]).items():
        sys.stdout.write(f"{title}: {value:.6g}\n")
