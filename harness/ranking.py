"""Ranking: the best documents of each query, and the one rule for ties.

Rows are document positions in the data set, which is sorted by document id, *descending* (`harness.datasets`). So
trec_eval's rule, score descending then document id descending, reads here: score descending, then row ascending.
A pair (score, row) becomes one int64 that sorts by exactly this rule, so that a top-k cut through equal scores keeps
the right documents, in any block size:

    key = order(score) * 2^32 + (2^32 - 1 - row),   order: float32 -> int32, increasing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.kernels.keys import offer
from harness.threads import each, ranges

_LOW = (1 << 32) - 1
NOTHING = -(1 << 63)
_FLOOR = (-0x7F800001 << 32) | _LOW  # the largest key of -inf


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


def pack_keys(scores: Float[torch.Tensor, "queries docs"], rows: Int[torch.Tensor, ...]) -> torch.Tensor:
    """int64 keys that sort as (score descending, row ascending) when sorted descending; -inf becomes `NOTHING`.

    `rows` has shape [docs] or [queries, docs].
    """
    bits = (scores.float() + 0.0).contiguous().view(torch.int32)  # + 0.0: -0.0 and 0.0 are one score
    order = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    return torch.where(scores == -torch.inf, NOTHING, (order << 32) | (_LOW - rows))


def unpack_keys(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows int64, scores float32) of `pack_keys`; `NOTHING` becomes row -1, score -inf."""
    order = (keys >> 32).int()
    scores = torch.where(order < 0, order ^ 0x7FFFFFFF, order).view(torch.float32)
    nothing = keys == NOTHING
    return torch.where(nothing, -1, _LOW - (keys & _LOW)), torch.where(nothing, -torch.inf, scores)


class RunningTopK:
    """The k best documents of each query, while scores arrive in blocks of documents; 16 k bytes for each query."""

    def __init__(self, queries: int, k: int) -> None:
        self.queries, self.k = queries, k
        self._best = np.full((queries, 2 * k), NOTHING, dtype=np.int64)
        self._filled = np.zeros(queries, dtype=np.int64)
        self._floors = np.full(queries, _FLOOR, dtype=np.int64)

    def add(self, first_row: int, scores: Float[np.ndarray, "queries docs"]) -> None:
        """Take the scores of the documents from `first_row` on, not seen before; -inf means: not a candidate."""

        def some(queries: range) -> None:
            offer(self._best, self._filled, self._floors, scores, first_row, queries.start, queries.stop)

        each(some, ranges(self.queries, -(-self.queries // torch.get_num_threads())))

    def ranking(self) -> Ranking:
        """The k best of everything added, in order."""
        unused = np.arange(2 * self.k) >= self._filled[:, None]
        keys = np.sort(np.where(unused, NOTHING, self._best), axis=1)[:, ::-1][:, : self.k]
        rows, scores = unpack_keys(torch.from_numpy(keys.copy()))
        return Ranking(rows.numpy(), scores.numpy())


def drop_self_matches(ranking: Ranking, self_rows: Int[np.ndarray, " queries"], k: int) -> tuple[Ranking, int]:
    """Remove each query's own document, then keep the k best.

    BEIR leaves out a hit whose document id equals the query id (`ignore_identical_ids`), for every data set. It must
    happen before the depth cut, so searches ask for k + 1.

    Parameters
    ----------
    self_rows
        Row of the document with the query's id, -1 if there is none.

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

    At depth d the first d candidates stand in the order of `scores` (ties by row), the tail keeps its order.

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
