"""SMVE's codes (`harness.methods.smve`) on a GPU; the tests run them on a CPU."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int


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
