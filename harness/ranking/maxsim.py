"""Exact MaxSim, the score of late interaction, over real tokens only (ColBERT, arXiv 2004.12832, section 3.3):

    MaxSim(q, d) = sum_i max_j q_i . d_j

A document without tokens scores -inf: it can never be retrieved.

One pass over the corpus serves everybody who asks: each document's tokens are read once and multiplied with those of
all queries that want it, as many at a time as the cache can hold; there `harness.kernels.maxima` takes the maxima. A
pair is a product of its own in BLAS's batch, [tokens, dim] @ [dim, query tokens]: as fast as a large product, and its
score does not depend on what else is computed, to the last bit. Equal documents tie, in any block, shard and number of
threads.

Queries are padded with zero vectors, which keeps their scores: max_j 0 . d_j = 0 adds nothing to the sum. Documents are
never padded (with zeros, the padding would win as soon as all similarities of a query token are negative).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from harness.kernels.maxima import maxsim_of_similarities
from harness.ranking import maxsim_gpu
from harness.system.threads import map_threads
from harness.vectors.store import Block, TokenVectors

_SIMILARITIES = 1 << 18  # made at once by one thread: 1 MiB, which stays in the cache
_WORK = 1 << 22  # similarities in one piece of work for a thread
_TOKEN_COPIES = 2  # of a block's tokens: float16 as read, float32


@dataclass(frozen=True)
class Pairs:
    """Distinct (query, document) pairs, by document and then query.

    Attributes
    ----------
    keys : int64 [pairs], ascending: document row * queries + query
    queries : how many queries there are
    """

    keys: Int[np.ndarray, " pairs"]
    queries: int

    @classmethod
    def of(cls, candidates: Sequence[Int[np.ndarray, "queries _"]], queries: int) -> Pairs:
        """All pairs of some candidate lists (document rows [queries, k], -1: none)."""
        keys = [cls._keys(rows, queries)[rows >= 0] for rows in candidates]
        every = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *keys]))  # five times as fast as np.unique
        return cls(every[np.diff(every, prepend=-1) > 0], queries)

    def __len__(self) -> int:
        return len(self.keys)

    def look_up(
        self, scores: Float[np.ndarray, " pairs"], rows: Int[np.ndarray, "queries k"]
    ) -> Float[np.ndarray, "queries k"]:
        """The scores of candidates that are among the pairs; -inf where there is none (row -1)."""
        found = np.full(rows.shape, -np.inf, dtype=np.float32)
        there, places = self._places(rows)
        found[there] = scores[places]
        return found

    def known(
        self, kept: Iterable[tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"], float]]
    ) -> tuple[Float[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"], float]:
        """What is known of the pairs.

        Parameters
        ----------
        kept
            Candidate lists with their scores, and what one of these cost (in seconds, for instance).

        Returns
        -------
        Their scores as far as they are kept, which are missing, and what those that are not have cost.
        """
        scores, missing = np.full(len(self), -np.inf, dtype=np.float32), np.ones(len(self), dtype=bool)
        spent = 0.0
        for rows, values, cost in kept:
            there, places = self._places(rows)
            spent += cost * int(missing[places].sum())
            scores[places], missing[places] = values[there], False
        return scores, missing, spent

    def only(self, chosen: Bool[np.ndarray, " pairs"]) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.keys[chosen], self.queries)

    def _places(self, rows: Int[np.ndarray, "queries k"]) -> tuple[Bool[np.ndarray, "queries k"], np.ndarray]:
        """Which candidates are among the pairs, and the places of these among the pairs."""
        keys = np.where(rows < 0, -1, self._keys(rows, self.queries)).ravel()
        order = np.argsort(keys)  # looked up in order, neighbours are in the cache: three times as fast
        places = np.empty(len(keys), dtype=np.int64)
        places[order] = np.searchsorted(self.keys, keys[order])
        there = np.zeros(len(keys), dtype=bool)
        inside = places < len(self)
        there[inside] = self.keys[places[inside]] == keys[inside]
        return there.reshape(rows.shape), places[there]

    def of_rows(self, start: int, stop: int) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " pairs"], int]:
        """Pairs of some documents: (their bounds in the queries [rows + 1], the queries, the first pair's place)."""
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
) -> Float[np.ndarray, " pairs"]:
    """MaxSim of some pairs; with `take`, of all pairs of the corpus.

    Parameters
    ----------
    block_bytes
        What a block of documents may take.
    take
        Called for each block with its first row and its scores, [queries, docs].
    tick
        Called with the number of documents after each block.
    """
    scores = np.full(len(pairs), -np.inf, dtype=np.float32)
    on_gpu = device.type == "cuda"
    asked: Any = maxsim_gpu.pad_queries(queries, device) if on_gpu else stack(queries)
    row_bytes = 4 * len(queries) if take is not None else 0
    for block in docs.blocks(_TOKEN_COPIES * 4 * docs.dim, row_bytes, block_bytes):
        bounds, wanted, first = pairs.of_rows(block.start, block.stop)
        place = slice(first, first + len(wanted))
        if take is not None:
            every = maxsim_gpu.block_scores(asked, block) if on_gpu else block_scores(asked, block)
            document = np.repeat(np.arange(len(block.lengths)), np.diff(bounds))
            scores[place] = _numpy(every[wanted, document])
            take(block.start, every)
        elif len(wanted):
            of_block = maxsim_gpu.pair_scores if on_gpu else pair_scores
            scores[place] = of_block(asked, block, bounds, wanted)
        tick(len(block.lengths))
    return scores


def stack(queries: TokenVectors) -> Float[np.ndarray, "queries dim length"]:
    """The queries' tokens as columns, padded with zeros to the longest."""
    stacked = np.zeros((len(queries), queries.dim, int(queries.lengths.max(initial=1))), dtype=np.float32)
    every = queries.rows(0, len(queries))  # read once, not query by query
    for row, (start, stop) in enumerate(pairwise(every.offsets)):
        stacked[row, :, : stop - start] = every.tokens[start:stop].T
    return stacked


def block_scores(queries: Float[np.ndarray, "queries dim length"], block: Block) -> Float[np.ndarray, "queries docs"]:
    """MaxSim of every query with every document of a block.

    Cost: query tokens * document tokens * dim multiply-adds.
    """
    scores = np.empty((len(queries), len(block.lengths)), dtype=np.float32)
    offsets = block.offsets

    def some(documents: range) -> None:
        column = np.empty(len(queries), dtype=np.float32)
        for i in documents:
            _score(block.tokens[offsets[i] : offsets[i + 1]], queries, slice(None), column)
            scores[:, i] = column

    map_threads(some, _runs(offsets * len(queries) * queries.shape[2], _WORK))
    return scores


def pair_scores(
    queries: Float[np.ndarray, "queries dim length"],
    block: Block,
    bounds: Int[np.ndarray, " rows"],
    wanted: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """MaxSim of the documents of a block with the queries that want them.

    The queries ``wanted[bounds[i]:bounds[i + 1]]`` want the block's document i; their tokens are gathered, which costs
    about a tenth of their product with a document of 200 tokens.
    """
    scores = np.empty(len(wanted), dtype=np.float32)
    offsets = block.offsets

    def some(documents: range) -> None:
        for i in documents:
            of_document = slice(bounds[i], bounds[i + 1])
            _score(block.tokens[offsets[i] : offsets[i + 1]], queries, wanted[of_document], scores[of_document])

    map_threads(
        some, _runs(np.concatenate([[0], np.cumsum(block.lengths * np.diff(bounds))]) * queries.shape[2], _WORK)
    )
    return scores


def _score(tokens: np.ndarray, queries: np.ndarray, chosen: np.ndarray | slice, scores: np.ndarray) -> None:
    """MaxSim of one document [tokens, dim] with the chosen queries, written to `scores`."""
    if not len(tokens):
        scores[:] = -np.inf
        return
    at_once = max(1, _SIMILARITIES // (len(tokens) * queries.shape[2]))
    for first in range(0, len(scores), at_once):
        some = slice(first, first + at_once)
        asked = queries[some] if isinstance(chosen, slice) else queries[chosen[some]]
        maxsim_of_similarities(np.matmul(tokens, asked), scores[some])


def _runs(offsets: np.ndarray, size: int) -> list[range]:
    """Consecutive items in runs of about `size` (as `offsets` count it), each of at least one item."""
    runs, start, count = [], 0, len(offsets) - 1
    while start < count:
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + size, side="right")) - 1)
        runs.append(range(start, stop))
        start = stop
    return runs


def _numpy(values: np.ndarray | torch.Tensor) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values
