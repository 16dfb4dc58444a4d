"""NDCG@10 by ranx, and the share of relevant documents among the candidates.

NDCG@10 has linear gain and log2 discount (Jarvelin and Kekalainen; ranx ``ndcg@10``; trec_eval's ``ndcg_cut.10``). Its
mean is over all judged queries: a query without relevant judgements, or without relevant results, counts as 0.

ranx sorts by score with an unstable sort and would break ties at random, so it is given ranks (10, 9, ..., 1) and only
the ten documents that matter; ties were decided before, by `harness.ranking`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ranx
from jaxtyping import Float, Int

from harness.data.dataset import Dataset
from harness.system.errors import HarnessError

CUT = 10


class Evaluator:
    """Evaluates rankings (document rows [queries, k], best first, -1 where there is none) on one data set."""

    def __init__(self, dataset: Dataset) -> None:
        self.queries, self.docs = list(dataset.queries), list(dataset.docs)
        self.qrels = dataset.qrels
        self._judged = ranx.Qrels(dataset.qrels)
        self._row = {document: row for row, document in enumerate(self.docs)}

    def ndcg10(self, rows: Int[np.ndarray, "queries k"]) -> Float[np.ndarray, " queries"]:
        """NDCG@10 of each query, in the order of ``dataset.queries``.

        Raises
        ------
        HarnessError
            If a query has no documents at all: a search that finds nothing is a fault, not a score of 0.
        """
        if len(empty := np.flatnonzero((rows < 0).all(axis=1))):
            raise HarnessError(
                f"query '{self.queries[empty[0]]}' and {len(empty) - 1} more have no candidates: every query needs at "
                "least one."
            )
        run = {
            query: {self.docs[row]: float(CUT - rank) for rank, row in enumerate(best) if row >= 0}
            for query, best in zip(self.queries, rows[:, :CUT].tolist(), strict=True)
        }
        made = ranx.Run(run)
        ranx.evaluate(self._judged, made, f"ndcg@{CUT}", return_mean=False)
        scores = made.scores[f"ndcg@{CUT}"]
        return np.array([scores[query] for query in self.queries])

    def candidate_recall(self, rows: Int[np.ndarray, "queries k"], depths: Sequence[int]) -> dict[int, float]:
        """Mean share of a query's relevant documents (score >= 1) among its first candidates, for each depth.

        The mean is over the queries that have a relevant document. Judged documents that are not in the corpus cannot
        be found, and count (ArguAna has five).
        """
        shares = []
        for best, judged in zip(rows, self.qrels.values(), strict=True):
            relevant = [document for document, score in judged.items() if score >= 1]
            if relevant:
                known = [self._row[document] for document in relevant if document in self._row]
                found = np.concatenate([[0], np.cumsum(np.isin(best, known))])
                shares.append([found[min(depth, len(best))] / len(relevant) for depth in depths])
        means = np.mean(shares, axis=0) if shares else np.zeros(len(depths))
        return dict(zip(depths, means.tolist(), strict=True))
