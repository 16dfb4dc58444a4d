"""MUVERA's encodings and their search (`harness.methods.muvera`) on a GPU; the tests run them on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.system.device import sent
from harness.vectors.store import Block


def token_bytes(repetitions: int, bits: int, width: int) -> int:
    """Bytes that one token takes while its block is encoded, beside its vector: projections, products, signs, cells."""
    return 4 * repetitions * (2 * width + 3 * bits + 12)


def row_bytes(size: int, buckets: int) -> int:
    """Bytes that one text takes while its block is encoded: its FDE, what fills it, and its cells."""
    return 8 * size + 40 * buckets


def encode(
    block: Block,
    planes: Float[torch.Tensor, "dim planes"],
    projections: Float[torch.Tensor, "dim projected"] | None,
    bits: int,
    fill: bool,
) -> Float[torch.Tensor, "texts size"]:
    """MUVERA's encodings of a block: sums of each bucket, or (`fill`) means with empty buckets filled."""
    device, texts = planes.device, len(block.lengths)
    repetitions, buckets = planes.shape[1] // bits, 1 << bits
    tokens = sent(block.tokens, device)
    signs = (tokens @ planes > 0).view(-1, repetitions, bits)
    bucket = (signs * (1 << torch.arange(bits, device=device))).sum(dim=2)
    first = torch.from_numpy(np.repeat(np.arange(texts), block.lengths)).to(device)[:, None] * repetitions
    cells = (first + torch.arange(repetitions, device=device)) * buckets + bucket  # (text, repetition, bucket)
    if projections is None:
        projected = tokens[:, None, :].expand(-1, repetitions, -1)
    else:
        projected = (tokens @ projections).view(len(tokens), repetitions, projections.shape[1] // repetitions)
    width = projected.shape[2]
    sums = torch.zeros(texts * repetitions * buckets, width, device=device)
    sums.scatter_add_(0, cells.reshape(-1, 1).expand(-1, width), projected.reshape(-1, width))
    if fill:
        counts = torch.zeros(len(sums), device=device)
        counts.scatter_add_(0, cells.view(-1), torch.ones(cells.numel(), device=device))
        sums /= counts.clamp(min=1).unsqueeze(1)
        empty, token = _nearest(cells, counts, torch.from_numpy(block.lengths).to(device), repetitions, bits)
        sums[empty] = projected[token, empty // buckets % repetitions]
    return sums.view(texts, repetitions * buckets * width)


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


def dot_products(
    queries: Sequence[Float[torch.Tensor, "size _"]], documents: Float[torch.Tensor, "docs size"], block: Block
) -> Float[torch.Tensor, "queries docs"]:
    """``(documents @ queries).T``; -inf for documents without tokens."""
    scores = torch.cat([(documents @ part).T for part in queries])
    scores[:, torch.from_numpy(block.lengths == 0).to(scores.device)] = -torch.inf
    return scores
