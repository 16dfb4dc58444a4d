"""Exact MaxSim, the score of late interaction, over real tokens only:

    MaxSim(q, d) = sum_i max_j q_i . d_j

Two facts let ragged texts go through dense products without any mask (ColBERT, arXiv 2004.12832, section 3.3):

- a *query* padded with zero vectors keeps its score: max_j 0 . d_j = 0 adds nothing to the sum;
- a *document* padded with copies of its own first token keeps its score: a maximum does not see repetitions.

(Documents padded with zeros do not: as soon as all similarities of a query token are negative, the padding wins.)

A document without tokens scores -inf: it can never be retrieved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.store import Block, TokenStore

_TOKEN_COPIES = 3  # float32 copies of a block's tokens: as read, padded, transposed
_STEP = 16  # documents are padded to a multiple of this many tokens, so about _STEP / 2 are wasted on each
_PIECE = 1 << 18  # similarities held at once by one product: 1 MiB of float32, which stays in the cache


def pad_queries(queries: TokenStore, device: torch.device) -> Float[torch.Tensor, "queries length dim"]:
    """All queries, padded with zero vectors to the longest."""
    padded = torch.zeros(len(queries), int(queries.lengths.max(initial=1)), queries.dim)
    for row, length in enumerate(queries.lengths):
        padded[row, :length] = torch.from_numpy(queries[row])
    return padded.to(device)


def pad_documents(block: Block, device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The documents of a block in groups of like length, padded with copies of their first token.

    Yields
    ------
    (rows int64 [docs], tokens float32 [docs, length, dim])
    """
    tokens = torch.from_numpy(block.tokens).to(device)
    first = np.concatenate([[0], np.cumsum(block.lengths)[:-1]])
    steps = -(-block.lengths // _STEP)
    for step in np.unique(steps[steps > 0]):
        members = np.flatnonzero(steps == step)
        places = np.arange(int(step) * _STEP)
        places = np.where(places < block.lengths[members, None], places, 0) + first[members, None]
        yield torch.from_numpy(block.start + members).to(device), tokens[torch.from_numpy(places).to(device)]


def maxsim(
    queries: Float[torch.Tensor, "queries length dim"], documents: Float[torch.Tensor, "docs tokens dim"]
) -> Float[torch.Tensor, "queries docs"]:
    """MaxSim of every query with every document (queries padded with zeros, documents with copies).

    Cost: queries * length * docs * tokens * dim multiply-adds; the similarities are made in pieces that fit the cache.
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


def score_all(
    queries: Float[torch.Tensor, "queries length dim"], docs: TokenStore, block_bytes: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """MaxSim of every query with every document of a store, as (rows [docs], scores [queries, docs]) pieces."""
    for block in docs.blocks(_TOKEN_COPIES * 4 * docs.dim, 0, block_bytes):
        for rows, documents in pad_documents(block, queries.device):
            yield rows, maxsim(queries, documents)


def score_candidates(
    queries: Float[torch.Tensor, "queries length dim"],
    docs: TokenStore,
    candidates: Int[np.ndarray, "queries k"],
    block_bytes: int,
) -> Iterator[tuple[Int[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]]:
    """MaxSim of each query with its own candidates, document by document.

    Candidates are grouped by document, so that the tokens of each are read once for all the queries that want it, and
    so that equal documents get equal scores: each is scored in a product of its own.
    Yields for each document the places of its pairs in ``candidates.ravel()``, and their scores; -inf without tokens.
    """
    k = candidates.shape[1]
    by_document = np.argsort(candidates, axis=None, kind="stable")
    bounds = np.searchsorted(candidates.ravel()[by_document], np.arange(len(docs) + 1))
    for block in docs.blocks(_TOKEN_COPIES * 4 * docs.dim, 0, block_bytes):
        tokens = torch.from_numpy(block.tokens).to(queries.device)
        first = np.concatenate([[0], np.cumsum(block.lengths)])
        for i, row in enumerate(range(block.start, block.stop)):
            places = by_document[bounds[row] : bounds[row + 1]]
            scores = np.full(len(places), -np.inf, dtype=np.float32)
            if len(places) and block.lengths[i]:
                wanting = queries[torch.from_numpy(places // k).to(queries.device)]
                scores = maxsim(wanting, tokens[first[i] : first[i + 1]].unsqueeze(0)).squeeze(1).cpu().numpy()
            yield places, scores


def rerank_scores(
    queries: TokenStore,
    docs: TokenStore,
    candidates: Int[np.ndarray, "queries k"],
    block_bytes: int,
    device: torch.device,
    tick: Callable[[int], object] = lambda _: None,
) -> Float[np.ndarray, "queries k"]:
    """MaxSim of each candidate; -inf where there is none (row -1) or where the document has no tokens.

    `tick` is called with 1 after each document of the store.
    """
    scores = np.full(candidates.size, -np.inf, dtype=np.float32)
    for places, values in score_candidates(pad_queries(queries, device), docs, candidates, block_bytes):
        scores[places] = values
        tick(1)
    return scores.reshape(candidates.shape)
