"""Geometry of a set of token vectors, exactly and in one pass: no sampling, a few [dim, dim] sums in memory.

Of n unit vectors u with second moment M = sum(u u^T) / n (raw) or covariance M - mean mean^T (centered), and the
eigenvalues l of that matrix:

    mean pairwise cosine   (|sum u|^2 - n) / (n (n - 1)), over pairs of different vectors
    stable rank            sum(l) / max(l)
    participation ratio    sum(l)^2 / sum(l^2)
    effective rank         exp(entropy of l / sum(l))      (Roy and Vetterli, EUSIPCO 2007)
    top share              max(l) / sum(l)

For vectors that are not of unit length (centered ones), the mean pairwise cosine is that of the vectors divided by
their lengths: moments are taken of the store as it gives them, raw or centered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.shards import CHUNK
from harness.store import TokenStore
from harness.threads import each, ranges

_AT_ONCE = 16  # chunks whose sums are in memory


@dataclass(frozen=True)
class Moments:
    """Sums over n vectors, `nonzero` of which have a direction, in float64.

    Attributes
    ----------
    total : sum of the vectors, [dim]
    directions : sum of the vectors divided by their lengths, [dim]; a zero vector has no direction
    outer : sum of their outer products, [dim, dim]
    """

    n: int
    nonzero: int
    total: Float[np.ndarray, " dim"]
    directions: Float[np.ndarray, " dim"]
    outer: Float[np.ndarray, "dim dim"]

    @classmethod
    def of(cls, store: TokenStore) -> Moments:
        """Moments of all token vectors of a store, as it gives them."""

        def some(rows: range) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
            tokens = store.rows(rows.start, rows.stop).tokens.astype(np.float64)
            lengths = np.linalg.norm(tokens, axis=1, keepdims=True)
            units = np.divide(tokens, lengths, out=np.zeros_like(tokens), where=lengths > 0)
            return int((lengths > 0).sum()), tokens.sum(axis=0), units.sum(axis=0), tokens.T @ tokens

        chunks = ranges(len(store), CHUNK)
        sums: Any = [some(range(0))]
        for first in range(0, len(chunks), _AT_ONCE):
            parts = [*sums, *each(some, chunks[first : first + _AT_ONCE])]
            sums = [tuple(sum(column[1:], start=column[0]) for column in zip(*parts, strict=True))]
        nonzero, total, directions, outer = sums[0]
        return cls(int(store.offsets[-1]), nonzero, total, directions, outer)

    @property
    def mean_pairwise_cosine(self) -> float:
        """Over all pairs of different vectors; a zero vector has the cosine 0 with every other."""
        return float((self.directions @ self.directions - self.nonzero) / (self.n * (self.n - 1)))

    def measures(self, centered: bool) -> dict[str, float]:
        """Stable rank, participation ratio, effective rank and top share."""
        mean = self.total / self.n
        matrix = self.outer / self.n - (np.outer(mean, mean) if centered else 0)
        values = np.clip(np.linalg.eigvalsh(matrix), 0, None)
        shares = values / values.sum()
        positive = shares[shares > 0]
        return {
            "stable_rank": float(1 / shares.max()),
            "participation_ratio": float(1 / (shares @ shares)),
            "effective_rank": float(np.exp(-(positive @ np.log(positive)))),
            "top_share": float(shares.max()),
        }
