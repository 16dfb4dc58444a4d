"""MaxSim on a CPU (`harness.ranking.maxsim`): each document is multiplied with all queries that want it.

As many queries are multiplied at a time as leave their similarities in the core's cache, where
`harness.kernels.maxima` takes the maxima.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.kernels.maxima import maxsim_of_similarities
from harness.system.threads import map_threads, runs
from harness.vectors.store import Block, TokenVectors

_SIMILARITIES = 1 << 18  # what one thread makes at once: 1 MiB, which stays in the cache
_WORK = 1 << 22  # similarities in one piece of work for a thread


def token_bytes(dim: int) -> int:
    """Bytes that a token of a block takes: float16 as read, and float32."""
    return 8 * dim


def prepare(queries: TokenVectors, device: torch.device) -> Float[np.ndarray, "queries dim length"]:
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

    def score_documents(documents: range) -> None:
        column = np.empty(len(queries), dtype=np.float32)
        for i in documents:
            _score(block.tokens[offsets[i] : offsets[i + 1]], queries, slice(None), column)
            scores[:, i] = column

    map_threads(score_documents, runs(offsets * len(queries) * queries.shape[2], _WORK))
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

    def score_documents(documents: range) -> None:
        for i in documents:
            of_document = slice(bounds[i], bounds[i + 1])
            _score(block.tokens[offsets[i] : offsets[i + 1]], queries, wanted[of_document], scores[of_document])

    work = np.concatenate([[0], np.cumsum(block.lengths * np.diff(bounds))]) * queries.shape[2]
    map_threads(score_documents, runs(work, _WORK))
    return scores


def token_scores(tokens: Float[np.ndarray, "tokens dim 1"], block: Block) -> Float[np.ndarray, "tokens docs"]:
    """The highest dot product of each token with every document of a block; -inf without tokens.

    Each document is multiplied with many tokens at once, as a matrix. `block_scores` multiplies it with one vector
    after another: then a score is the same, to the last bit, whatever else is computed.
    """
    scores = np.full((len(tokens), len(block.lengths)), -np.inf, dtype=np.float32)
    rows, offsets = tokens[:, :, 0], block.offsets

    def score_documents(documents: range) -> None:
        for i in documents:
            columns = block.tokens[offsets[i] : offsets[i + 1]].T
            if not columns.size:
                continue
            at_once = max(1, _SIMILARITIES // columns.shape[1])
            for first in range(0, len(rows), at_once):
                part = slice(first, first + at_once)
                scores[part, i] = (rows[part] @ columns).max(axis=1)

    map_threads(score_documents, runs(offsets * len(tokens), _WORK))
    return scores


def _score(tokens: np.ndarray, queries: np.ndarray, chosen: np.ndarray | slice, scores: np.ndarray) -> None:
    """MaxSim of one document [tokens, dim] with the chosen queries, written to `scores`."""
    if not len(tokens):
        scores[:] = -np.inf
        return
    at_once = max(1, _SIMILARITIES // (len(tokens) * queries.shape[2]))
    for first in range(0, len(scores), at_once):
        part = slice(first, first + at_once)
        asked = queries[part] if isinstance(chosen, slice) else queries[chosen[part]]
        maxsim_of_similarities(np.matmul(tokens, asked), scores[part])


def numpy(scores: np.ndarray) -> np.ndarray:
    """Scores as a numpy array."""
    return scores
