"""Exact MaxSim, the score of late interaction, over real tokens only (ColBERT, arXiv 2004.12832, section 3.3):

    MaxSim(q, d) = sum_i max_j q_i . d_j

A document without tokens scores -inf: it can never be retrieved.

One pass over the corpus scores all pairs that were asked for. Each document's tokens are read once and multiplied with
those of all queries that need it. On a CPU (`harness.ranking.maxsim_cpu`), a pair is a product of its own in BLAS's
batch, [tokens, dim] @ [dim, query tokens]. This is as fast as a large product, and a score does not depend on what else
is computed, to the last bit: equal documents tie in any block, in any shard, and with any number of threads.
`harness.ranking.maxsim_gpu` has the same functions for a GPU.

Padding lets ragged texts go through dense products without a mask:

- a *query* padded with zero vectors keeps its MaxSim: max_j 0 . d_j = 0 adds nothing to the sum;
- a *document* padded with copies of its own first token keeps its MaxSim: a maximum does not see repetitions. Padding
  with zeros would win as soon as all similarities of a query token are negative. Only the GPU pads documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from harness.ranking import maxsim_cpu, maxsim_gpu
from harness.system.device import twin
from harness.vectors.store import TokenVectors


@dataclass(frozen=True)
class Pairs:
    """Distinct (query, document) pairs, sorted by document and then by query: a sparse [queries, docs] mask.

    Attributes
    ----------
    keys : int64 [pairs], ascending: document row * queries + query
    queries : how many queries there are
    """

    keys: Int[np.ndarray, " pairs"]
    queries: int

    @classmethod
    def of(cls, candidates: Sequence[Int[np.ndarray, "queries _"]], queries: int) -> Pairs:
        """The distinct pairs of candidate lists, each of document rows, int64 [queries, k]; -1: no document."""
        keys = [cls._keys(rows, queries)[rows >= 0] for rows in candidates]
        every = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *keys]))  # five times as fast as np.unique
        return cls(every[np.diff(every, prepend=-1) > 0], queries)

    def __len__(self) -> int:
        return len(self.keys)

    def look_up(
        self, scores: Float[np.ndarray, " pairs"], rows: Int[np.ndarray, "queries k"]
    ) -> Float[np.ndarray, "queries k"]:
        """The scores of candidates that are among the pairs; -inf where a list has ended (row -1)."""
        found = np.full(rows.shape, -np.inf, dtype=np.float32)
        there, places = self._places(rows)
        found[there] = scores[places]
        return found

    def known(
        self, computed: Iterable[tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"], float]]
    ) -> tuple[Float[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"], float]:
        """The scores of pairs that were computed before.

        Parameters
        ----------
        computed
            Candidate lists, their scores, and the cost of one score (in seconds, for instance).

        Returns
        -------
        The scores (-inf where missing), which pairs are missing, and the cost of those that are not.
        """
        scores, missing = np.full(len(self), -np.inf, dtype=np.float32), np.ones(len(self), dtype=bool)
        spent = 0.0
        for rows, values, cost in computed:
            there, places = self._places(rows)
            spent += cost * int(missing[places].sum())
            scores[places], missing[places] = values[there], False
        return scores, missing, spent

    def only(self, chosen: Bool[np.ndarray, " pairs"]) -> Pairs:
        """The pairs that a mask selects."""
        return Pairs(self.keys[chosen], self.queries)

    def _places(self, rows: Int[np.ndarray, "queries k"]) -> tuple[Bool[np.ndarray, "queries k"], np.ndarray]:
        """Which candidates are among the pairs, and the places of these candidates among the pairs."""
        keys = np.where(rows < 0, -1, self._keys(rows, self.queries)).ravel()
        order = np.argsort(keys)  # looked up in order, neighbours are in the cache: three times as fast
        places = np.empty(len(keys), dtype=np.int64)
        places[order] = np.searchsorted(self.keys, keys[order])
        there = np.zeros(len(keys), dtype=bool)
        inside = places < len(self)
        there[inside] = self.keys[places[inside]] == keys[inside]
        return there.reshape(rows.shape), places[there]

    def of_rows(self, start: int, stop: int) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " pairs"], int]:
        """The pairs of the documents `start` to `stop` - 1.

        Returns
        -------
        Bounds [documents + 1], the queries of the pairs [pairs], and the place of the first pair among all pairs;
        document ``start + i`` has the queries ``queries[bounds[i]:bounds[i + 1]]``.
        """
        bounds = np.searchsorted(self.keys, np.arange(start, stop + 1) * self.queries)
        first, last = int(bounds[0]), int(bounds[-1])
        return bounds - first, self.keys[first:last] % self.queries, first

    @staticmethod
    def _keys(rows: np.ndarray, queries: int) -> np.ndarray:
        return rows * queries + np.arange(queries)[:, None]


def score(
    queries: TokenVectors,
    docs: TokenVectors,
    pairs: Pairs,
    block_bytes: int,
    device: torch.device,
    take: Callable[[int, Any], object] | None = None,
    tick: Callable[[int], object] = lambda _: None,
    tile: int = 1,
) -> Float[np.ndarray, " pairs"]:
    """MaxSim of the given pairs. With `take`, all pairs of the corpus are scored on the way.

    Parameters
    ----------
    block_bytes
        Memory that a block of documents may take.
    take
        This is called for each block with its first row and its scores, float32 [queries, docs] on the device.
    tick
        This is called after each block with its number of documents.
    tile
        Blocks begin at multiples of it, where the memory allows.
    """
    scores = np.full(len(pairs), -np.inf, dtype=np.float32)
    implementation: Any = twin(device, maxsim_cpu, maxsim_gpu)
    prepared = implementation.prepare(queries, device)
    row_bytes = 4 * len(queries) if take is not None else 0
    for block in docs.blocks(implementation.token_bytes(docs.dim), row_bytes, block_bytes, tile):
        bounds, wanted, first = pairs.of_rows(block.start, block.stop)
        place = slice(first, first + len(wanted))
        if take is not None:
            all_scores = implementation.block_scores(prepared, block)
            document = np.repeat(np.arange(len(block.lengths)), np.diff(bounds))
            scores[place] = implementation.numpy(all_scores[wanted, document])
            take(block.start, all_scores)
        elif len(wanted):
            scores[place] = implementation.pair_scores(prepared, block, bounds, wanted)
        tick(len(block.lengths))
    return scores


def token_scores(
    tokens: TokenVectors,
    docs: TokenVectors,
    block_bytes: int,
    device: torch.device,
    take: Callable[[int, Any], object],
    tick: Callable[[int], object] = lambda _: None,
    tile: int = 1,
) -> None:
    """The highest dot product of each token, a text of its own, with the tokens of every document.

    It is `score` of all pairs for queries of one token, up to rounding, and twice as fast on a CPU. `take` is called as
    there.
    """
    implementation: Any = twin(device, maxsim_cpu, maxsim_gpu)
    prepared = implementation.prepare(tokens, device)
    for block in docs.blocks(implementation.token_bytes(docs.dim), 4 * len(tokens), block_bytes, tile):
        take(block.start, implementation.token_scores(prepared, block))
        tick(len(block.lengths))
