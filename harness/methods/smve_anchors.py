"""Anchors of SMVE: w unit directions, and the k largest projections of tokens on them.

    gaussian   independent directions, uniform on the sphere
    rotation   the columns of stacked random orthogonal matrices (Haar), which spread more evenly
    hadamard   blocks of n = 2^m signed Hadamard columns, D H / sqrt(dim), after one random rotation of all tokens (n is
               the smallest power of two that is at least dim): a structured rotation (exactly so where dim = n), on
               which a token is projected with log2(n) additions for each anchor instead of dim multiply-adds

The k largest projections are exact whichever way they are found (`harness.kernels.anchors`,
`harness.kernels.hadamard`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.kernels import hadamard
from harness.kernels.anchors import GROUPS, largest, survivors
from harness.system.device import cpu_has

_PIECE = 32 * GROUPS  # anchors in one product: 256 tokens' projections are 2 to 4 MiB
_BFLOAT16, _FLOAT32 = 2.0**-8, 2.0**-24  # largest relative rounding error
Kept = tuple[Int[np.ndarray, "tokens k"], Float[np.ndarray, "tokens k"]]


class DenseAnchors:
    """Any matrix of unit directions, float32 [dim, w]."""

    def __init__(self, matrix: Float[np.ndarray, "dim width"], in_bfloat16: bool | None = None) -> None:
        self.matrix = matrix
        self.directions = np.ascontiguousarray(matrix.T)  # [w, dim]: an anchor's numbers side by side
        self._in_bfloat16 = fast_bfloat16() if in_bfloat16 is None else in_bfloat16

    @cached_property
    def _pieces(self) -> list[Any]:
        """The matrix in pieces of columns for the coarse products, filled up with zeros to whole groups.

        A column of zeros projects to 0, which is never among the survivors.
        """
        dim, width = self.matrix.shape
        padded = np.zeros((dim, -(-width // GROUPS) * GROUPS), dtype=np.float32)
        padded[:, :width] = self.matrix
        pieces = [np.ascontiguousarray(padded[:, c : c + _PIECE]) for c in range(0, padded.shape[1], _PIECE)]
        return [torch.from_numpy(piece).bfloat16() for piece in pieces] if self._in_bfloat16 else pieces

    def largest(self, tokens: Float[np.ndarray, "tokens dim"], k: int) -> Kept:
        """The anchors of each token's k largest projections, and the projections, in no particular order."""
        count = len(tokens)
        kept = np.full(count, 0 if k <= GROUPS else -1, dtype=np.int64)
        bits = np.int16 if self._in_bfloat16 else np.int32
        room = 8 * k + 4 * GROUPS
        anchors, values = np.empty((count, room), np.int32), np.empty((count, room), bits)
        floors = np.zeros(count, bits)
        reach = self._reach(tokens)
        coarse: Any = torch.from_numpy(tokens).bfloat16() if self._in_bfloat16 else tokens
        for piece, matrix in enumerate(self._pieces):
            projections = coarse @ matrix
            if isinstance(projections, torch.Tensor):
                projections = projections.view(torch.int16).numpy()
            grouped = projections.view(bits).reshape(count, -1, GROUPS)
            shift = 16 if self._in_bfloat16 else 0
            survivors(grouped, shift, piece * _PIECE, k, reach, kept, anchors, values, floors)
        chosen, exact = np.empty((count, k), np.int32), np.empty((count, k), np.float32)
        largest(tokens, self.directions, kept, anchors, k, chosen, exact)
        return chosen, exact

    def _reach(self, tokens: np.ndarray) -> np.ndarray:
        """Twice the largest error of each token's coarse projections on unit vectors, before they are rounded.

        Both factors are off by a relative u; |sum x_i a_i| <= |x| (Cauchy-Schwarz); float32 adds up dim terms.
        """
        u = _BFLOAT16 if self._in_bfloat16 else 0.0
        error = 2 * u + u * u + 2 * tokens.shape[1] * _FLOAT32
        return (2.01 * error * np.linalg.norm(tokens, axis=1)).astype(np.float32)


class HadamardAnchors:
    """Structured rotations."""

    def __init__(
        self, rotation: Float[np.ndarray, "dim dim"], signs: Float[np.ndarray, "blocks n"], width: int
    ) -> None:
        self.rotation, self.signs, self.width = rotation, signs, width

    @cached_property
    def matrix(self) -> Float[np.ndarray, "dim width"]:
        """The directions as columns: what a GPU multiplies with, and what geometry looks at."""
        dim, n = len(self.rotation), self.signs.shape[1]
        numbers = np.arange(n)
        parity = np.array([[bin(a & i).count("1") & 1 for a in numbers] for i in range(dim)])
        blocks = [sign[:dim, None] * (1 - 2 * parity) for sign in self.signs]
        columns = np.concatenate(blocks, axis=1)[:, : self.width] / np.sqrt(dim)
        return (self.rotation.astype(np.float64) @ columns).astype(np.float32)

    def largest(self, tokens: Float[np.ndarray, "tokens dim"], k: int) -> Kept:
        """The anchors of each token's k largest projections, and the projections, in no particular order."""
        chosen, values = np.empty((len(tokens), k), np.int32), np.empty((len(tokens), k), np.float32)
        scale = np.float32(1 / np.sqrt(len(self.rotation)))
        share = (2 * k + 8 * np.sqrt(k)) / self.width  # of the projections that the first floor lets pass
        normal = np.float32(NormalDist().inv_cdf(1 - share) if share < 0.5 else -np.inf)
        for start in range(0, len(tokens), hadamard.LANES):
            part = slice(start, start + hadamard.LANES)
            turned = hadamard.turn(tokens[part], self.rotation)
            # Signs are random, so that a token's projections are nearly normal with variance |token|^2.
            with np.errstate(invalid="ignore"):  # no floor, -inf, of a vector of zeros: NaN, which is no floor either
                guess = normal * np.sqrt((turned * turned).sum(axis=0))
            hadamard.largest(turned, self.signs, self.width, k, guess, scale, chosen[part], values[part])
        return chosen, values


def gaussian(dim: int, width: int, rng: np.random.Generator) -> DenseAnchors:
    """Independent directions, uniform on the sphere."""
    anchors = rng.standard_normal((dim, width))
    return DenseAnchors((anchors / np.linalg.norm(anchors, axis=0)).astype(np.float32))


def rotation(dim: int, width: int, rng: np.random.Generator) -> DenseAnchors:
    """The first columns of stacked random orthogonal matrices."""
    stacked = [_orthogonal(dim, rng) for _ in range(-(-width // dim))]
    return DenseAnchors(np.concatenate(stacked, axis=1)[:, :width].astype(np.float32))


def structured(dim: int, width: int, rng: np.random.Generator) -> HadamardAnchors:
    """One random rotation, then blocks of random signs and a Hadamard matrix."""
    n = 1 << (dim - 1).bit_length()
    turn = _orthogonal(dim, rng).astype(np.float32)
    signs = (rng.integers(0, 2, (-(-width // n), n)) * 2 - 1).astype(np.float32)
    return HadamardAnchors(turn, signs, width)


KINDS: dict[str, Callable[[int, int, np.random.Generator], DenseAnchors | HadamardAnchors]] = {
    "gaussian": gaussian,
    "rotation": rotation,
    "hadamard": structured,
}


def _orthogonal(dim: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal matrix, Haar: QR with a positive diagonal."""
    q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
    return q * np.sign(np.diag(r))


@lru_cache(maxsize=1)
def fast_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16 numbers (torch emulates them elsewhere, slowly)."""
    return cpu_has("avx512_bf16", "amx_bf16")
