"""MaxSim on a GPU, in torch; the tests run it on a CPU.

Queries and documents are padded and batched for large products; why padding keeps their MaxSim is in
`harness.ranking.maxsim`.

**Half precision.** Token vectors that float16 holds exactly (all that a store has on disk, and signs) are multiplied
as float16 and summed as float32. The product of two float16 numbers has at most 22 significant bits, so float32 holds
it exactly: a score differs from that of float32 numbers by the rounding of its sums alone. Other vectors (centered
ones) stay float32.

**Memory.** Beside the queries and a block of documents, at most `_PIECE` similarities are held at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.system.threads import chunks
from harness.vectors.store import Block, TokenVectors

_STEP = 16  # documents are padded to a multiple of this many tokens, so about _STEP / 2 are wasted on each
_PIECE = 1 << 24  # similarities held at once by one product: 64 MiB of float32
_TOKENS = 4096  # document tokens in one product, at most: the other side, queries, has about as many
_TOGETHER = 8  # queries that are multiplied with one document at a time, where only some queries want it


def token_bytes(dim: int) -> int:
    """Bytes that a token of a block takes: as float32 on both sides, as float16, and while the two are compared."""
    return 14 * dim


def prepare(queries: TokenVectors, device: torch.device) -> Float[torch.Tensor, "queries length dim"]:
    """All queries, padded with zero vectors to the longest, float16 where that is exact."""
    length, every = int(queries.lengths.max(initial=1)), queries.rows(0, len(queries))
    padded = torch.zeros(len(queries) * length, queries.dim, device=device)
    places = np.arange(len(every.tokens)) + np.repeat(
        np.arange(len(queries)) * length - every.offsets[:-1], every.lengths
    )
    padded[torch.from_numpy(places).to(device)] = torch.from_numpy(every.tokens).to(device)
    return _narrowed(padded).view(len(queries), length, queries.dim)


def block_scores(queries: Float[torch.Tensor, "queries length dim"], block: Block) -> torch.Tensor:
    """MaxSim of every query with every document of a block, float32 [queries, docs]; -inf without tokens.

    Cost: queries * length * tokens * dim multiply-adds.
    """
    scores = torch.full((len(queries), len(block.lengths)), -torch.inf, device=queries.device)
    documents, length = _Documents.of(block, queries.device), queries.shape[1]
    for members, tokens in _alike(block.lengths, np.arange(len(block.lengths))):
        for some in chunks(len(members), max(1, min(_TOKENS, _PIECE // length) // tokens)):
            rows = torch.from_numpy(members[some.start : some.stop]).to(queries.device)
            padded = documents.padded(rows, tokens).flatten(0, 1)
            for part in chunks(len(queries), max(1, _PIECE // (length * len(padded)))):
                asked = queries[part.start : part.stop].flatten(0, 1)
                best = _products(asked[None], padded[None]).view(len(part), length, len(rows), tokens).amax(dim=3)
                scores[part.start : part.stop, rows] = best.sum(dim=1)
    return scores


def pair_scores(
    queries: Float[torch.Tensor, "queries length dim"],
    block: Block,
    bounds: Int[np.ndarray, " rows"],
    wanted: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """MaxSim of the documents of a block with the queries that want them (``wanted[bounds[i]:bounds[i + 1]]``).

    Each document is multiplied with `_TOGETHER` queries at a time, and many documents of about one length in a batch.
    """
    device, length = queries.device, queries.shape[1]
    scores = torch.full((len(wanted),), -torch.inf, device=device)
    documents, asking = _Documents.of(block, device), torch.from_numpy(wanted).to(device)
    document, pairs = _bundles(bounds)
    for members, tokens in _alike(block.lengths, document):
        numbers = _TOGETHER * length * (tokens + queries.shape[2])  # of a bundle: its similarities and its queries
        for some in chunks(len(members), max(1, _PIECE // numbers)):
            chosen = members[some.start : some.stop]
            places = torch.from_numpy(pairs[chosen]).to(device)
            padded = documents.padded(torch.from_numpy(document[chosen]).to(device), tokens)
            asked = queries[asking[places.clamp(min=0)]].flatten(1, 2)  # [bundles, together * length, dim]
            best = _products(asked, padded).amax(dim=2).view(len(chosen), _TOGETHER, length)
            scores[places[places >= 0]] = best.sum(dim=2)[places >= 0]
    return scores.cpu().numpy()


def numpy(scores: torch.Tensor) -> np.ndarray:
    """Scores as a numpy array."""
    return scores.cpu().numpy()


@dataclass(frozen=True)
class _Documents:
    """The documents of a block on a device: tokens [tokens, dim], and the first token and the length of each."""

    tokens: torch.Tensor
    first: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(cls, block: Block, device: torch.device) -> _Documents:
        arrays = (block.offsets[:-1], block.lengths)
        tokens = _narrowed(torch.from_numpy(block.tokens).to(device))
        return cls(tokens, *(torch.from_numpy(array).to(device) for array in arrays))

    def padded(self, rows: torch.Tensor, length: int) -> Float[torch.Tensor, "rows length dim"]:
        """Some documents with tokens, padded with copies of their first token."""
        places = torch.arange(length, device=rows.device)
        inside = places < self.lengths[rows, None]
        return self.tokens[torch.where(inside, places, 0) + self.first[rows, None]]


def _alike(
    lengths: Int[np.ndarray, " docs"], documents: Int[np.ndarray, " items"]
) -> Iterator[tuple[Int[np.ndarray, " members"], int]]:
    """Items in groups whose documents are padded to one length, with that length; none of documents without tokens."""
    steps = -(-lengths[documents] // _STEP)
    for step in np.unique(steps[steps > 0]):
        yield np.flatnonzero(steps == step), int(step) * _STEP


def _bundles(bounds: Int[np.ndarray, " rows"]) -> tuple[Int[np.ndarray, " bundles"], Int[np.ndarray, "bundles n"]]:
    """Pairs in bundles of at most `_TOGETHER` of one document: the document, and the places of the pairs (-1: none)."""
    counts = np.diff(bounds)
    bundles = -(-counts // _TOGETHER)
    document = np.repeat(np.arange(len(counts)), bundles)
    of_document = np.arange(len(document)) - np.repeat(np.cumsum(bundles) - bundles, bundles)
    places = (bounds[document] + of_document * _TOGETHER)[:, None] + np.arange(_TOGETHER)
    return document, np.where(places < bounds[document + 1, None], places, -1)


def _narrowed(tokens: torch.Tensor) -> torch.Tensor:
    """The same numbers as float16, if it holds all of them exactly."""
    narrow = tokens.half()
    return narrow if torch.equal(narrow.float(), tokens) else tokens


def _products(
    left: Float[torch.Tensor, "batch m dim"], right: Float[torch.Tensor, "batch n dim"]
) -> Float[torch.Tensor, "batch m n"]:
    """Dot products as float32, of vectors as float16 if both are."""
    right = right.transpose(1, 2)
    if left.dtype == right.dtype == torch.half and left.is_cuda:
        return torch.bmm(left, right, out_dtype=torch.float32)
    return torch.bmm(left.float(), right.float())
