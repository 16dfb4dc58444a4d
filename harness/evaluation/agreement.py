"""How well a first stage follows exact MaxSim, from both rankings of the same documents.

Spearman   correlation of the ranks of all documents, ties at their mean rank; mean over queries
recall     share of the exact top 10 among the first k candidates, which reranking k of them can still find
overlap    share of the exact top k among the first k candidates
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from harness.evaluation.ndcg import CUT
from harness.ranking.ranks import Ranking


def agreement(first: Ranking, exact: Ranking, depths: Sequence[int]) -> dict[str, Any]:
    """Compare two rankings of all documents; a document with the id of the query itself is left out.

    Parameters
    ----------
    depths : at least 1 each; those beyond the number of documents are left out

    Returns
    -------
    ``spearman``, ``recall`` and ``overlap`` (depth -> share), and ``queries`` (their number). A first stage that gives
    all documents the same score has no order: its correlation counts as 0.
    """
    documents = exact.rows.shape[1]
    places = np.array([_places(row, documents + 1) for row in exact.rows])
    found = [rows[rows >= 0] for rows in first.rows]
    fitting = [depth for depth in depths if depth <= int(exact.counts.min())]

    def share(top: int, depth: int) -> float:
        return float(
            np.mean([(place[rows[:depth]] < top).sum() / top for rows, place in zip(found, places, strict=True)])
        )

    pairs = zip(first.rows, first.scores, exact.rows, exact.scores, strict=True)
    return {
        "spearman": float(np.mean([_spearman(*pair) for pair in pairs])),
        "recall": {str(depth): share(CUT, depth) for depth in fitting if depth >= CUT},
        "overlap": {str(depth): share(depth, depth) for depth in fitting},
        "queries": len(exact.rows),
    }


def _places(rows: Int[np.ndarray, " documents"], size: int) -> Int[np.ndarray, " size"]:
    """Row -> place in a ranking; documents that are not in it have the last place."""
    places = np.full(size, size, dtype=np.int64)
    ranked = rows[rows >= 0]
    places[ranked] = np.arange(len(ranked))
    return places


def _spearman(
    first_rows: Int[np.ndarray, " documents"],
    first_scores: Float[np.ndarray, " documents"],
    exact_rows: Int[np.ndarray, " documents"],
    exact_scores: Float[np.ndarray, " documents"],
) -> float:
    """Spearman's correlation over the documents that exact search ranks; those that the first stage lacks come last."""
    found = np.full(len(first_rows) + 1, -np.inf)
    found[first_rows[first_rows >= 0]] = first_scores[first_rows >= 0]
    ranked = exact_rows >= 0
    left, right = rankdata(found[exact_rows[ranked]]), rankdata(exact_scores[ranked])
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale else 0.0
