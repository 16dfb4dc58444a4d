"""Token vectors that can carry no meaning, all zero or all the same; and those that are not of unit length."""

from __future__ import annotations

import numpy as np

from harness.vectors.store import TokenStore

_SAMPLE = 4096
_SMALL = 1e-3
_OFF = 0.02


def doubts(store: TokenStore, side: str) -> list[str]:
    """A line if the token vectors of a store, or of a sample of it, are zero or equal; `side`: whose they are."""
    vectors = _sample(store)
    if len(vectors) < 2:
        return []
    zero = float((np.linalg.norm(vectors, axis=1) < _SMALL).mean())
    if zero > 0.5:
        return [f"{100 * zero:.0f} % of the token vectors of the {side} are zero, so scores mean little"]
    if np.abs(vectors - vectors[0]).max() < _SMALL:
        return [f"all token vectors of the {side} are the same, so scores mean nothing"]
    return []


def norms(store: TokenStore, side: str) -> list[str]:
    """A line if the token vectors of a store, or of a sample of it, are not unit vectors; `side`: whose they are."""
    lengths = np.linalg.norm(_sample(store), axis=1)
    if not len(lengths) or np.abs(lengths - 1).max() < _OFF:
        return []
    return [
        f"the token vectors of the {side} have lengths from {lengths.min():.2f} to {lengths.max():.2f}; PLAID takes "
        "them as unit vectors, all others as they are"
    ]


def _sample(store: TokenStore) -> np.ndarray:
    """float32 [at most `_SAMPLE`, dim]: evenly spaced token vectors."""
    rows = np.unique(np.linspace(0, len(store.flat) - 1, min(_SAMPLE, len(store.flat)), dtype=np.int64))
    return np.asarray(store.flat[rows], dtype=np.float32)
