"""MaxSim on a GPU, in torch; the tests run it on a CPU.

Queries and documents are padded and batched for large products; why padding keeps their MaxSim is in
`harness.ranking.maxsim`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.vectors.store import Block, TokenVectors

_STEP = 16  # documents are padded to a multiple of this many tokens, so about _STEP / 2 are wasted on each
_PIECE = 1 << 28  # similarities held at once by one product: 1 GiB of float32


def prepare(queries: TokenVectors, device: torch.device) -> Float[torch.Tensor, "queries length dim"]:
    """All queries, padded with zero vectors to the longest."""
    padded = torch.zeros(len(queries), int(queries.lengths.max(initial=1)), queries.dim)
    every = queries.rows(0, len(queries))  # read once, not query by query
    for row, (start, stop) in enumerate(pairwise(every.offsets)):
        padded[row, : stop - start] = torch.from_numpy(every.tokens[start:stop])
    return padded.to(device)


def pad_documents(block: Block, device: torch.device) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """The documents of a block in groups of similar length, padded with copies of their first token.

    Yields
    ------
    (numbers in the block int64 [docs], tokens float32 [docs, length, dim])
    """
    tokens = torch.from_numpy(block.tokens).to(device)
    first = block.offsets[:-1]
    steps = -(-block.lengths // _STEP)
    for step in np.unique(steps[steps > 0]):
        members = np.flatnonzero(steps == step)
        places = np.arange(int(step) * _STEP)
        places = np.where(places < block.lengths[members, None], places, 0) + first[members, None]
        yield members, tokens[torch.from_numpy(places).to(device)]


def maxsim(
    queries: Float[torch.Tensor, "queries length dim"], documents: Float[torch.Tensor, "docs tokens dim"]
) -> Float[torch.Tensor, "queries docs"]:
    """MaxSim of every query with every document (queries padded with zeros, documents with copies).

    Cost: queries * length * docs * tokens * dim multiply-adds, in pieces of at most `_PIECE` similarities.
    """
    count, length, dim = queries.shape
    docs, tokens, _ = documents.shape
    scores = torch.empty(count, docs, device=queries.device)
    flat = queries.reshape(-1, dim)
    per_docs = max(1, min(docs, _PIECE // (tokens * length)))
    per_queries = max(1, _PIECE // (tokens * length * per_docs))
    for d in range(0, docs, per_docs):
        transposed = documents[d : d + per_docs].reshape(-1, dim).T
        for q in range(0, count, per_queries):
            similarity = flat[q * length : (q + per_queries) * length] @ transposed
            best = similarity.view(-1, length, similarity.shape[1] // tokens, tokens).amax(dim=3)
            scores[q : q + per_queries, d : d + per_docs] = best.sum(dim=1)
    return scores


def block_scores(queries: Float[torch.Tensor, "queries length dim"], block: Block) -> torch.Tensor:
    """MaxSim of every query with every document of a block, float32 [queries, docs]; -inf without tokens."""
    scores = torch.full((len(queries), len(block.lengths)), -torch.inf, device=queries.device)
    for members, documents in pad_documents(block, queries.device):
        scores[:, torch.from_numpy(members).to(queries.device)] = maxsim(queries, documents)
    return scores


def pair_scores(
    queries: Float[torch.Tensor, "queries length dim"],
    block: Block,
    bounds: Int[np.ndarray, " rows"],
    wanted: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """MaxSim of the documents of a block with the queries that want them (``wanted[bounds[i]:bounds[i + 1]]``)."""
    scores = torch.full((len(wanted),), -torch.inf, device=queries.device)
    tokens, offsets = torch.from_numpy(block.tokens).to(queries.device), block.offsets
    asking = torch.from_numpy(wanted).to(queries.device)
    for i in np.flatnonzero((np.diff(bounds) > 0) & (block.lengths > 0)):
        chosen, document = asking[bounds[i] : bounds[i + 1]], tokens[offsets[i] : offsets[i + 1]]
        scores[bounds[i] : bounds[i + 1]] = maxsim(queries[chosen], document[None]).squeeze(1)
    return scores.cpu().numpy()


def numpy(scores: torch.Tensor) -> np.ndarray:
    """Scores as a numpy array."""
    return scores.cpu().numpy()
