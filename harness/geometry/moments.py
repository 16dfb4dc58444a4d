"""Geometry of a set of token vectors. It is exact, takes one pass, and holds a few [dim, dim] sums in memory.

For n vectors x (unit vectors as the model gives them, or shifted by a centering), with the directions u = x / |x| and
the eigenvalues l of the second moment sum(x x^T) / n:

    mean pairwise cosine   (|sum u|^2 - n) / (n (n - 1)), over pairs of different vectors
    stable rank            sum(l) / max(l)
    participation ratio    sum(l)^2 / sum(l^2)
    effective rank         exp(entropy of l / sum(l))      (Roy and Vetterli, EUSIPCO 2007)
    top share              max(l) / sum(l)

For documents minus their own mean, the second moment is the covariance. For queries minus the *documents'* mean it is
not: it also holds the offset between the two means, which the projections see as well.

Over a corpus, all tokens are one set. Within documents, the tokens of each document are one set, and the mean is over
documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.config.shards import CHUNK
from harness.system.threads import chunks, map_threads
from harness.vectors.store import TokenVectors

MEASURES = ("mean_pairwise_cosine", "stable_rank", "participation_ratio", "effective_rank", "top_share")
DEAD = 2.0
"""Standard deviations from 0 at which nearly all values have one sign: 98 % of a normal distribution."""
_AT_ONCE = 16  # chunks whose sums are in memory at the same time


def units(tokens: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    """The vectors divided by their lengths; a zero vector stays zero."""
    lengths = np.linalg.norm(tokens, axis=1, keepdims=True)
    return np.divide(tokens, lengths, out=np.zeros_like(tokens), where=lengths > 0)


@dataclass(frozen=True)
class Moments:
    """Sums over vectors, in float64.

    Attributes
    ----------
    n : number of vectors
    nonzero : number of vectors that have a direction
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
    def of(cls, store: TokenVectors) -> Moments:
        """Moments of all token vectors of a store."""
        return _read(store, [None], within=False)[0].moments

    @classmethod
    def of_tokens(cls, tokens: Float[np.ndarray, "n dim"]) -> Moments:
        """Moments of the given vectors, float64."""
        directions = units(tokens)
        nonzero = int(directions.any(axis=1).sum())
        return cls(len(tokens), nonzero, tokens.sum(axis=0), directions.sum(axis=0), tokens.T @ tokens)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.n + other.n,
            self.nonzero + other.nonzero,
            self.total + other.total,
            self.directions + other.directions,
            self.outer + other.outer,
        )

    @property
    def mean_pairwise_cosine(self) -> float:
        """The mean cosine over all pairs of different vectors; a zero vector has the cosine 0 with every other."""
        return float((self.directions @ self.directions - self.nonzero) / (self.n * (self.n - 1)))

    @property
    def dead_axes(self) -> float:
        """Share of the coordinates whose mean is more than `DEAD` standard deviations from 0."""
        mean = self.total / self.n
        deviation = np.sqrt(np.clip(self.outer.diagonal() / self.n - mean**2, 0, None))
        return float((np.abs(mean) > DEAD * deviation).mean())

    def spectrum(self, centered: bool = False) -> Float[np.ndarray, " dim"]:
        """Eigenvalues' shares of their sum, descending: of the second moment, or (`centered`) of the covariance."""
        mean = self.total / self.n
        return _shares(self.outer / self.n - (np.outer(mean, mean) if centered else 0))

    def measures(self, centered: bool = False) -> dict[str, float]:
        """Stable rank, participation ratio, effective rank and top share of the `spectrum`."""
        return _measures(self.spectrum(centered))


@dataclass(frozen=True)
class TokenSpace:
    """The measures of a store's token vectors under a centering.

    Attributes
    ----------
    moments : those of all token vectors together
    within : mean of each measure over the texts in which two or more tokens have a direction, with ``n`` (number of
        these texts) and ``dim``
    """

    moments: Moments
    within: dict[str, float]

    @property
    def measures(self) -> dict[str, float]:
        """All measures over the corpus, with ``n`` (token vectors) and ``dim``."""
        found = {"mean_pairwise_cosine": self.moments.mean_pairwise_cosine, **self.moments.measures()}
        return {**found, "n": self.moments.n, "dim": len(self.moments.total)}


def spaces(store: TokenVectors, means: Sequence[Float[np.ndarray, " dim"] | None]) -> list[TokenSpace]:
    """The measures of a store's vectors minus each of the means (None: as they are), from one pass.

    Cost: for each token and mean dim^2 multiply-adds; for each text and mean the eigenvalues of an [m, m] matrix, where
    m is the smaller of dim and the text's number of tokens.
    """
    return _read(store, means, within=True)


def _read(store: TokenVectors, means: Sequence[np.ndarray | None], within: bool) -> list[TokenSpace]:
    """As `spaces`; without `within`, the measures of single texts are skipped."""
    empty, nothing = Moments.of_tokens(np.zeros((0, store.dim))), np.zeros(len(MEASURES))

    def sums_of(rows: range) -> list[tuple[Moments, np.ndarray, int]]:
        block = store.rows(rows.start, rows.stop)
        found = []
        for mean in means:
            tokens = (block.tokens if mean is None else block.tokens - mean).astype(np.float64)
            texts = [_of_text(part) for part in np.split(tokens, block.offsets[1:-1])] if within else []
            measured = [measures for measures in texts if measures is not None]
            found.append((Moments.of_tokens(tokens), np.sum(measured or [nothing], axis=0), len(measured)))
        return found

    pieces = chunks(len(store), CHUNK)
    sums: list[Any] = [[empty, nothing, 0] for _ in means]
    for first in range(0, len(pieces), _AT_ONCE):
        for part in map_threads(sums_of, pieces[first : first + _AT_ONCE]):
            sums = [[a + b for a, b in zip(*both, strict=True)] for both in zip(sums, part, strict=True)]
    result = []
    for moments, total, texts in sums:
        mean = dict(zip(MEASURES, (total / max(1, texts)).tolist(), strict=True))
        result.append(TokenSpace(moments, {**mean, "n": texts, "dim": store.dim}))
    return result


def _of_text(tokens: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " measures"] | None:
    """All measures of one text's vectors; None if fewer than two have a direction."""
    moments = Moments.of_tokens(tokens) if len(tokens) else None
    if moments is None or moments.nonzero < 2:
        return None
    # With fewer tokens than dimensions, the Gram matrix is smaller and has the same eigenvalues, zeros aside.
    shares = _shares(moments.outer if len(tokens) >= tokens.shape[1] else tokens @ tokens.T)
    return np.array([moments.mean_pairwise_cosine, *_measures(shares).values()])


def _shares(matrix: Float[np.ndarray, "m m"]) -> Float[np.ndarray, " m"]:
    """Eigenvalues' shares of their sum, descending."""
    values = np.clip(np.linalg.eigvalsh(matrix)[::-1], 0, None)
    return values / (values.sum() or 1)


def _measures(shares: Float[np.ndarray, " m"]) -> dict[str, float]:
    """All `MEASURES` of eigenvalues' shares, except the cosine."""
    positive = shares[shares > 0]
    if not len(positive):  # only zero vectors, which have no direction
        return dict.fromkeys(MEASURES[1:], 0.0)
    return {
        "stable_rank": float(1 / shares.max()),
        "participation_ratio": float(1 / (shares @ shares)),
        "effective_rank": float(np.exp(-(positive @ np.log(positive)))),
        "top_share": float(shares.max()),
    }
