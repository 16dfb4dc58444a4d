"""SMVE's codes (`harness.methods.smve`) on a GPU; the tests run them on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.methods.smve_codes import SparseCodes
from harness.vectors.store import Block

if TYPE_CHECKING:
    from harness.methods.smve import SparseEncoding


def token_bytes(size: int) -> int:
    """Bytes that one token takes while its block is encoded, beside its kept projections: its projections, twice."""
    return 8 * size


def row_bytes(size: int) -> int:
    """Bytes that one text takes while its block is encoded: its dense sums and counts."""
    return 16 * size


def encode(encoding: SparseEncoding, block: Block, mean: bool) -> SparseCodes:
    """Codes of the texts of a block: the sum, or the mean, of the projections that kept an anchor."""
    tokens, kept = torch.from_numpy(block.tokens).to(encoding.device), []
    for r, anchors in enumerate(encoding.sets):
        matrix = torch.from_numpy(anchors.matrix).to(encoding.device)
        values, chosen = largest_projections(tokens, matrix, encoding.keep)
        kept.append((values, chosen + r * encoding.width))
    values, chosen = (torch.cat(parts, dim=1) for parts in zip(*kept, strict=True))
    sums, counts = sparse_codes(values, chosen, block.lengths, encoding.size)
    rows, places = torch.nonzero(counts, as_tuple=True)
    weights = (sums / counts.clamp(min=1) if mean else sums)[rows, places]
    lengths = torch.bincount(rows, minlength=len(block.lengths)).cpu().numpy()
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return SparseCodes(ends, places.int().cpu().numpy(), weights.cpu().numpy(), encoding.size)


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
