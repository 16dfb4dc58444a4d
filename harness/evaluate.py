"""NDCG@10 by ranx, and the share of relevant documents among the candidates.

NDCG@10 has linear gain and log2 discount (Jarvelin and Kekalainen; ranx ``ndcg@10``; trec_eval's ``ndcg_cut.10``). Its
mean is over all judged queries: one whose judgements are all zero, or that found nothing relevant, counts as 0.

ranx sorts by score with an unstable sort and would break ties at random, so it is given ranks (10, 9, ..., 1) and only
the ten documents that matter; ties were decided before, by `harness.ranking`.
"""

from __future__ import annotations

import numpy as np
import ranx
from jaxtyping import Float, Int

from harness.datasets import Dataset
from harness.errors import HarnessError

CUT = 10


def ndcg10(rows: Int[np.ndarray, "queries k"], dataset: Dataset) -> Float[np.ndarray, " queries"]:
    """NDCG@10 of each query, in the order of ``dataset.queries``.

    Parameters
    ----------
    rows
        Ranked document rows, best first, -1 where there is none.

    Raises
    ------
    HarnessError
        If a query has no documents at all: a search that finds nothing is a fault, not a score of 0.
    """
    queries, docs = list(dataset.queries), list(dataset.docs)
    if len(empty := np.flatnonzero((rows < 0).all(axis=1))):
        raise HarnessError(
            f"query '{queries[empty[0]]}' and {len(empty) - 1} more have no candidates: every query needs at least one."
        )
    run = {
        query: {docs[row]: float(CUT - rank) for rank, row in enumerate(best) if row >= 0}
        for query, best in zip(queries, rows[:, :CUT], strict=True)
    }
    made = ranx.Run(run)
    ranx.evaluate(ranx.Qrels(dataset.qrels), made, f"ndcg@{CUT}", return_mean=False)
    scores = made.scores[f"ndcg@{CUT}"]
    return np.array([scores[query] for query in queries])


def candidate_recall(rows: Int[np.ndarray, "queries k"], depth: int, dataset: Dataset) -> float:
    """Mean share of a query's relevant documents (score >= 1) among its first `depth` candidates.

    The mean is over the queries that have a relevant document. Judged documents that are not in the corpus cannot be
    found, and count (ArguAna has five).
    """
    docs = list(dataset.docs)
    shares = []
    for best, judged in zip(rows[:, :depth], dataset.qrels.values(), strict=True):
        relevant = {document for document, score in judged.items() if score >= 1}
        if relevant:
            shares.append(len(relevant.intersection(docs[row] for row in best if row >= 0)) / len(relevant))
    return float(np.mean(shares)) if shares else 0.0
