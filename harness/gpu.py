"""The operations of the CPU kernels (`harness.kernels`) in torch, for a GPU; the tests run them on a CPU.

Everything is padded and batched as a GPU likes it. Two facts let ragged texts go through dense products without a mask:

- a *query* padded with zero vectors keeps its MaxSim: max_j 0 . d_j = 0 adds nothing to the sum;
- a *document* padded with copies of its own first token keeps its MaxSim: a maximum does not see repetitions.

(Documents padded with zeros do not: as soon as all similarities of a query token are negative, the padding wins.)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.ranking import NOTHING, Ranking, pack_keys, unpack_keys
from harness.store import Block, TokenStore

_STEP = 16  # documents are padded to a multiple of this many tokens, so about _STEP / 2 are wasted on each
_PIECE = 1 << 28  # similarities held at once by one product: 1 GiB of float32


class RunningTopK:
    """The k best documents of each query, while scores arrive in blocks of documents."""

    def __init__(self, queries: int, k: int, device: torch.device) -> None:
        self.k = k
        self._best = torch.full((queries, k), NOTHING, dtype=torch.int64, device=device)

    def add(self, first_row: int, scores: Float[torch.Tensor, "queries docs"]) -> None:
        """Take the scores of the documents from `first_row` on, not seen before; -inf means: not a candidate."""
        rows = torch.arange(first_row, first_row + scores.shape[1], device=scores.device)
        self._best = torch.cat([self._best, pack_keys(scores, rows)], dim=1).topk(self.k, dim=1).values

    def ranking(self) -> Ranking:
        """The k best of everything added, in order."""
        rows, scores = unpack_keys(self._best)
        return Ranking(rows.cpu().numpy(), scores.cpu().numpy())


def pad_queries(queries: TokenStore, device: torch.device) -> Float[torch.Tensor, "queries length dim"]:
    """All queries, padded with zero vectors to the longest."""
    padded = torch.zeros(len(queries), int(queries.lengths.max(initial=1)), queries.dim)
    every = queries.rows(0, len(queries))  # read once, not query by query
    for row, (start, stop) in enumerate(pairwise(every.offsets)):
        padded[row, : stop - start] = torch.from_numpy(every.tokens[start:stop])
    return padded.to(device)


def pad_documents(block: Block, device: torch.device) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """The documents of a block in groups of like length, padded with copies of their first token.

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


def fde(
    block: Block,
    planes: Float[torch.Tensor, "dim planes"],
    projections: Float[torch.Tensor, "dim projected"] | None,
    bits: int,
    fill: bool,
) -> Float[torch.Tensor, "texts size"]:
    """MUVERA's encodings of a block: sums of each bucket, or (`fill`) means with empty buckets filled."""
    device, texts = planes.device, len(block.lengths)
    repetitions, buckets = planes.shape[1] // bits, 1 << bits
    tokens = torch.from_numpy(block.tokens).to(device)
    signs = (tokens @ planes > 0).view(-1, repetitions, bits)
    bucket = (signs * (1 << torch.arange(bits, device=device))).sum(dim=2)
    first = torch.from_numpy(np.repeat(np.arange(texts), block.lengths)).to(device)[:, None] * repetitions
    cells = (first + torch.arange(repetitions, device=device)) * buckets + bucket  # (text, repetition, bucket)
    if projections is None:
        projected = tokens[:, None, :].expand(-1, repetitions, -1)
    else:
        projected = (tokens @ projections).view(len(tokens), repetitions, -1)
    width = projected.shape[2]
    sums = torch.zeros(texts * repetitions * buckets, width, device=device)
    sums.scatter_add_(0, cells.reshape(-1, 1).expand(-1, width), projected.reshape(-1, width))
    if fill:
        counts = torch.zeros(len(sums), device=device)
        counts.scatter_add_(0, cells.view(-1), torch.ones(cells.numel(), device=device))
        sums /= counts.clamp(min=1).unsqueeze(1)
        empty, token = _nearest(cells, counts, torch.from_numpy(block.lengths).to(device), repetitions, bits)
        sums[empty] = projected[token, empty // buckets % repetitions]
    return sums.view(texts, -1)


def _nearest(
    cells: torch.Tensor, counts: torch.Tensor, lengths: Int[torch.Tensor, " texts"], repetitions: int, bits: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each empty cell of a text with tokens: the cell, and the token that fills it.

    The nearest token is the minimum of (Hamming distance, token), as one number: distance * step + token. Hamming
    distance is a sum over bits, so that this minimum over all buckets is taken one bit at a time: k passes in which
    each bucket looks only at the one across that bit.
    """
    buckets, step = 1 << bits, len(cells) + 1
    nearest = torch.full((len(counts),), (bits + 1) * step, dtype=torch.int64, device=cells.device)
    token = torch.arange(len(cells), device=cells.device)[:, None].expand_as(cells)
    nearest.scatter_reduce_(0, cells.reshape(-1), token.reshape(-1), "amin")
    nearest = nearest.view(-1, buckets)
    for bit in range(bits):
        across = torch.arange(buckets, device=cells.device) ^ (1 << bit)
        nearest = torch.minimum(nearest, nearest[:, across] + step)
    has_tokens = (lengths > 0).repeat_interleave(repetitions * buckets)
    empty = torch.nonzero((counts == 0) & has_tokens).squeeze(1)
    return empty, nearest.view(-1)[empty] % step


def largest_projections(
    tokens: Float[torch.Tensor, "tokens dim"], anchors: Float[torch.Tensor, "dim width"], k: int
) -> tuple[Float[torch.Tensor, "tokens k"], Int[torch.Tensor, "tokens k"]]:
    """SMVE's kept projections of each token, and their anchors."""
    values, chosen = (tokens @ anchors).topk(k, dim=1, sorted=False)
    return values, chosen


def sparse_codes(
    values: Float[torch.Tensor, "tokens kept"],
    anchors: Int[torch.Tensor, "tokens kept"],
    lengths: np.ndarray,
    size: int,
) -> tuple[Float[torch.Tensor, "texts size"], Float[torch.Tensor, "texts size"]]:
    """SMVE's sums, and how many tokens each is the sum of, as dense rows."""
    texts = len(lengths)
    row = torch.from_numpy(np.repeat(np.arange(texts), lengths)).to(values.device)
    places = (row[:, None] * size + anchors).reshape(-1)
    sums = torch.zeros(texts * size, device=values.device)
    counts = torch.zeros_like(sums)
    sums.scatter_add_(0, places, values.reshape(-1))
    counts.scatter_add_(0, places, torch.ones_like(values).reshape(-1))
    return sums.view(texts, size), counts.view(texts, size)


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
