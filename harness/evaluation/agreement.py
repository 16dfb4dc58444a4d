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
    fitting = [depth for depth in depths if depth <= int(exact.counts.min())]

    def share(top: int, depth: int) -> float:
        return float(np.mean(exact_recall(first.rows, exact.rows, top, depth)))

    pairs = zip(first.rows, first.scores, exact.rows, exact.scores, strict=True)
    return {
        "spearman": float(np.mean([_spearman(*pair) for pair in pairs])),
        "recall": {str(depth): share(CUT, depth) for depth in fitting if depth >= CUT},
        "overlap": {str(depth): share(depth, depth) for depth in fitting},
        "queries": len(exact.rows),
    }


def exact_recall(
    candidates: Int[np.ndarray, "queries k"], exact: Int[np.ndarray, "queries documents"], top: int, depth: int
) -> Float[np.ndarray, " queries"]:
    """Share of exact search's first `top` documents among the first `depth` candidates of each query.

    Rows are document rows, best first, -1 where there is none. If exact search ranks fewer documents than `top`, the
    share is of these; 0 if it ranks none.
    """
    shares = np.zeros(len(exact))
    for i, (found, best) in enumerate(zip(candidates, exact, strict=True)):
        wanted = best[:top][best[:top] >= 0]
        if len(wanted):
            shares[i] = np.isin(wanted, found[:depth]).mean()
    return shares


def _spearman(
    first_rows: Int[np.ndarray, " documents"],
    first_scores: Float[np.ndarray, " documents"],
    exact_rows: Int[np.ndarray, " documents"],
    exact_scores: Float[np.ndarray, " documents"],
) -> float:
    """Spearman's correlation over the documents that exact search ranks; those that the first stage lacks come last."""
    from scipy.stats import rankdata  # it takes a second to import, and few runs ask for this

    found = np.full(len(first_rows) + 1, -np.inf)
    found[first_rows[first_rows >= 0]] = first_scores[first_rows >= 0]
    ranked = exact_rows >= 0
    left, right = rankdata(found[exact_rows[ranked]]), rankdata(exact_scores[ranked])
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale else 0.0
