"""NDCG@10 and the further measures of rankings by ranx, and the share of relevant documents among the candidates.

NDCG@10 has linear gain and log2 discount (Jarvelin and Kekalainen; ranx ``ndcg@10``; trec_eval's ``ndcg_cut.10``). Its
mean is over all judged queries: a query without relevant judgements, or without results, counts as 0, as it does for
every measure. Recall, MRR and MAP are trec_eval's ``recall.K``, ``recip_rank`` (of the first K) and ``map``: a
judgement of at least 1 is relevant, and relevant documents that are not in the corpus, or were not found, count.

ranx is given arrays of document numbers, best first, and no ids. It compiles its functions again for every length of
ids, which takes half a minute each time, and it compares ids by hashes alone; arrays of numbers have one type for all
data sets. They also keep the order of the ranking: ranx sorts what it is given by id with an unstable sort, and would
break ties at random. Here ties were decided before, by `harness.ranking`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from harness.config.measures import NDCG10, Measure
from harness.data.dataset import Dataset
from harness.evaluation.ranx_metrics import average_precision, ndcg, recall, reciprocal_rank

CUT = 10
_NONE = -1.0  # no document's number, and no relevance
_OF_RANX = {"ndcg": ndcg, "recall": recall, "mrr": reciprocal_rank, "map": average_precision}


class Evaluator:
    """Evaluates rankings (document rows [queries, k], best first, -1 where there is none) on one data set."""

    def __init__(self, dataset: Dataset) -> None:
        self.queries, self.docs = list(dataset.queries), list(dataset.docs)
        self.qrels = dataset.qrels
        self._row = {document: row for row, document in enumerate(self.docs)}
        self._judged = self._relevant()

    def _relevant(self) -> Float[np.ndarray, "queries relevant 2"]:
        """Document number and judgement of each query's relevant documents, highest judgement first, padded.

        A judgement of zero, or below, counts as none. Judged documents that are not in the corpus have numbers of their
        own, behind the rows of those that are.
        """
        numbers = dict(self._row)
        relevant = [
            sorted(
                ((numbers.setdefault(name, len(numbers)), score) for name, score in judged.items() if score >= 1),
                key=lambda pair: -pair[1],
            )
            for judged in (self.qrels[query] for query in self.queries)
        ]
        padded = np.full((len(relevant), max(CUT, *map(len, relevant)), 2), _NONE)
        for row, pairs in zip(padded, relevant, strict=True):
            row[: len(pairs)] = np.array(pairs).reshape(-1, 2)
        return padded

    def ndcg10(self, rows: Int[np.ndarray, "queries k"]) -> Float[np.ndarray, " queries"]:
        """NDCG@10 of each query, in the order of ``dataset.queries``; 0 for a query without documents."""
        return self.score(NDCG10, rows)

    def score(self, measure: Measure, rows: Int[np.ndarray, "queries k"]) -> Float[np.ndarray, " queries"]:
        """A measure of each query, in the order of ``dataset.queries``; 0 for a query without documents.

        All measures but ``maxsim``, for which judgements say nothing (`harness.evaluation.agreement`).
        """
        best = rows[:, : measure.cut]
        if measure.kind == "judged":
            return self._judged_share(best)
        found = np.full((len(rows), measure.cut, 2), _NONE)
        found[:, : best.shape[1], 0] = best
        found[:, :, 1] = np.arange(measure.cut, 0, -1)
        return _OF_RANX[measure.kind](self._judged, found, measure.cut)

    def _judged_share(self, rows: Int[np.ndarray, "queries k"]) -> Float[np.ndarray, " queries"]:
        """Share of the documents of each query that have a judgement of any value."""
        shares = np.zeros(len(rows))
        for i, (best, query) in enumerate(zip(rows, self.queries, strict=True)):
            known = [self._row[document] for document in self.qrels[query] if document in self._row]
            if (best >= 0).any():
                shares[i] = np.isin(best[best >= 0], known).mean()
        return shares

    def candidate_recall(self, rows: Int[np.ndarray, "queries k"], depths: Sequence[int]) -> dict[int, float]:
        """Mean share of a query's relevant documents (score >= 1) among its first candidates, for each depth.

        The mean is over the queries that have a relevant document. Judged documents that are not in the corpus cannot
        be found, and count (ArguAna has five).
        """
        shares = []
        for best, query in zip(rows, self.queries, strict=True):
            judged = self.qrels[query]
            relevant = [document for document, score in judged.items() if score >= 1]
            if relevant:
                known = [self._row[document] for document in relevant if document in self._row]
                found = np.concatenate([[0], np.cumsum(np.isin(best, known))])
                shares.append([found[min(depth, len(best))] / len(relevant) for depth in depths])
        means = np.mean(shares, axis=0) if shares else np.zeros(len(depths))
        return dict(zip(depths, means.tolist(), strict=True))
