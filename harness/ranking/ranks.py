"""Rankings, the rule for ties, the removal of self matches, and the reordering of prefixes by MaxSim.

Rows are document positions in the data set, which is sorted by document id, *descending* (`harness.data.dataset`). So
trec_eval's rule for ties, score descending then document id descending, reads here: score descending, row ascending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Ranking:
    """Best documents first; shorter lists end in row -1 and score -inf.

    Attributes
    ----------
    rows : int64 [queries, k]
    scores : float32 [queries, k], non-increasing
    """

    rows: Int[np.ndarray, "queries k"]
    scores: Float[np.ndarray, "queries k"]

    @property
    def counts(self) -> Int[np.ndarray, " queries"]:
        """How many documents each query has."""
        return (self.rows >= 0).sum(axis=1)

    def split(self, parts: int) -> list[Ranking]:
        """The rankings of equally many consecutive queries each."""
        return [Ranking(*part) for part in zip(np.split(self.rows, parts), np.split(self.scores, parts), strict=True)]


def recall(found: Ranking, exact: Ranking, k: int) -> float:
    """The mean share of a query's first k documents of an exact search that are among its first k of another search.

    Queries for which the exact search finds nothing are left out.
    """
    shares = []
    for rows, wanted in zip(found.rows[:, :k], exact.rows[:, :k], strict=True):
        if len(wanted := wanted[wanted >= 0]):
            shares.append(np.isin(wanted, rows).mean())
    return float(np.mean(shares))


def drop_self_matches(ranking: Ranking, self_rows: Int[np.ndarray, " queries"], k: int) -> tuple[Ranking, int]:
    """Remove each query's own document, then keep the k best.

    BEIR leaves out a hit whose document id equals the query id (`ignore_identical_ids`), for every data set. It must
    happen before the depth cut, so searches ask for k + 1.

    Parameters
    ----------
    ranking
        The k + 1 best documents of each query, or all.
    self_rows
        Row of the document with the query's id, int64 [queries]; -1 if there is none.

    Returns
    -------
    The ranking of at most k documents, and how many self matches were removed.
    """
    found = (ranking.rows == self_rows[:, None]) & (ranking.rows >= 0)
    order = np.argsort(found, axis=1, kind="stable")  # the self match goes last
    rows = np.where(np.take_along_axis(found, order, axis=1), -1, np.take_along_axis(ranking.rows, order, axis=1))
    scores = np.where(rows >= 0, np.take_along_axis(ranking.scores, order, axis=1), -np.inf).astype(np.float32)
    return Ranking(rows[:, :k], scores[:, :k]), int(found.any(axis=1).sum())


def reorder(
    rows: Int[np.ndarray, "queries k"], scores: Float[np.ndarray, "queries deepest"], depths: Sequence[int]
) -> dict[int, np.ndarray]:
    """Rankings at several depths from one set of scores.

    At depth d the first d candidates stand in the order of `scores` (ties by row); the others keep their order.

    Parameters
    ----------
    rows
        Candidates, best first; shorter lists end in -1.
    scores
        MaxSim of the first candidates, as many as the greatest depth asks for.

    Returns
    -------
    depth -> int64 [queries, k]; depth 0 is `rows` itself.
    """
    rankings = {}
    for depth in depths:
        head, tail = rows[:, :depth], rows[:, depth:]
        order = np.lexsort((head, -scores[:, : head.shape[1]], head < 0), axis=1)
        rankings[depth] = np.concatenate([np.take_along_axis(head, order, axis=1), tail], axis=1)
    return rankings
