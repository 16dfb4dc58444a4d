"""The running top-k of each query, on a CPU, and the sortable keys in torch.

A pair (score, row) becomes one int64 (`harness.kernels.keys`) that sorts by exactly the rule for ties
(`harness.ranking.ranks`). So a top-k cut through equal scores keeps the right documents, in any block size.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.kernels.keys import offer
from harness.ranking.ranks import Ranking
from harness.system.threads import chunks, map_threads

_LOW = (1 << 32) - 1
NOTHING = -(1 << 63)
"""The key of no document."""
_FLOOR = (-0x7F800001 << 32) | _LOW  # the largest key of -inf


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
    """The k best documents of each query, while scores arrive in blocks of documents; 16 k bytes per query."""

    def __init__(self, queries: int, k: int) -> None:
        self.queries, self.k = queries, k
        self._best = np.full((queries, 2 * k), NOTHING, dtype=np.int64)
        self._filled = np.zeros(queries, dtype=np.int64)
        self._floors = np.full(queries, _FLOOR, dtype=np.int64)

    def add(self, first_row: int, scores: Float[np.ndarray, "queries docs"]) -> None:
        """Take the scores of the documents from `first_row` on, not seen before; -inf means: not a candidate."""

        def offer_scores(queries: range) -> None:
            offer(self._best, self._filled, self._floors, scores, first_row, queries.start, queries.stop)

        map_threads(offer_scores, chunks(self.queries, -(-self.queries // torch.get_num_threads())))

    def ranking(self) -> Ranking:
        """The k best of everything added, in order."""
        unused = np.arange(2 * self.k) >= self._filled[:, None]
        keys = np.sort(np.where(unused, NOTHING, self._best), axis=1)[:, ::-1][:, : self.k]
        rows, scores = unpack_keys(torch.from_numpy(keys.copy()))
        return Ranking(rows.numpy(), scores.numpy())
