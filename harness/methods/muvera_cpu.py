"""MUVERA's encodings and their search (`harness.methods.muvera`) on a CPU; `harness.methods.muvera_gpu` is its twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from harness.kernels.buckets import sum_buckets
from harness.ranking.products import tiled
from harness.system.threads import chunks, map_threads
from harness.vectors.store import Block

_TEXTS = 8  # encoded at once by one thread: their bucket sums stay in the cache


def token_bytes(repetitions: int, bits: int, width: int) -> int:
    """Bytes that one token takes while its block is encoded, beside its vector: nearly none."""
    return 0


def row_bytes(size: int, buckets: int) -> int:
    """Bytes that one text takes while its block is encoded: its FDE of `size` numbers."""
    return 4 * size


def encode(
    block: Block,
    planes: Float[torch.Tensor, "dim planes"],
    projections: Float[torch.Tensor, "dim projected"] | None,
    bits: int,
    fill: bool,
) -> Float[torch.Tensor, "texts size"]:
    """MUVERA's encodings of a block: sums of each bucket, or (`fill`) means with empty buckets filled.

    Cost: for each token R * bits * dim multiply-adds (its buckets) and R * dim additions; for each text
    R * 2^bits * dim * d multiply-adds (the projections of its bucket sums).
    """
    texts, dim = len(block.lengths), block.tokens.shape[1]
    repetitions, buckets, offsets = planes.shape[1] // bits, 1 << bits, block.offsets
    by_repetition = None if projections is None else _by_repetition(projections.numpy(), repetitions)
    width = dim if by_repetition is None else by_repetition.shape[2]
    hyperplanes = planes.numpy()
    codes = np.empty((texts, repetitions, buckets * width), dtype=np.float32)

    def encode_rows(rows: range) -> None:
        tokens = block.tokens[offsets[rows.start] : offsets[rows.stop]]
        sums = np.empty((repetitions, len(rows) * buckets, dim), dtype=np.float32)
        of_texts = offsets[rows.start : rows.stop + 1] - offsets[rows.start]
        sum_buckets(tokens, tokens @ hyperplanes, of_texts, bits, fill, sums)
        projected = sums if by_repetition is None else sums @ by_repetition
        codes[rows.start : rows.stop] = projected.reshape(repetitions, len(rows), -1).transpose(1, 0, 2)

    map_threads(encode_rows, chunks(texts, _TEXTS))
    return torch.from_numpy(codes.reshape(texts, -1))


def _by_repetition(projections: np.ndarray, repetitions: int) -> Float[np.ndarray, "R dim d"]:
    """The projections of each repetition, one after the other."""
    return np.ascontiguousarray(projections.reshape(len(projections), repetitions, -1).transpose(1, 0, 2))


def dot_products(
    queries: Sequence[Float[torch.Tensor, "size _"]], documents: Float[torch.Tensor, "docs size"], block: Block
) -> Float[np.ndarray, "queries docs"]:
    """``(documents @ queries).T`` in tiles of documents, float32 [queries of all parts, docs].

    -inf for documents without tokens. BLAS is a quarter faster where the queries' codes are columns.
    """
    codes = documents.numpy()
    result = np.concatenate([tiled(codes, part.numpy(), block.start).T for part in queries])
    result[:, block.lengths == 0] = -np.inf
    return result
