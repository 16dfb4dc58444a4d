"""The running top-k of `harness.ranking.topk` on a GPU."""

from __future__ import annotations

import torch
from jaxtyping import Float

from harness.ranking.ranks import Ranking
from harness.ranking.topk import NOTHING, pack_keys, unpack_keys
from harness.system.threads import chunks

_KEYS = 1 << 22  # made at once: about 200 MiB with what they are made from


class RunningTopK:
    """The k best documents of each query, while scores arrive in blocks of documents."""

    def __init__(self, queries: int, k: int, device: torch.device) -> None:
        self.k = k
        self._best = torch.full((queries, k), NOTHING, dtype=torch.int64, device=device)

    def add(self, first_row: int, scores: Float[torch.Tensor, "queries docs"]) -> None:
        """Take the scores of the documents from `first_row` on, not seen before; -inf means: not a candidate."""
        rows = torch.arange(first_row, first_row + scores.shape[1], device=scores.device)
        for part in chunks(len(scores), max(1, _KEYS // (self.k + scores.shape[1]))):
            queries = slice(part.start, part.stop)
            keys = torch.cat([self._best[queries], pack_keys(scores[queries], rows)], dim=1)
            self._best[queries] = keys.topk(self.k, dim=1).values

    def ranking(self) -> Ranking:
        """The k best of everything added, in order."""
        rows, scores = unpack_keys(self._best)
        return Ranking(rows.cpu().numpy(), scores.cpu().numpy())
