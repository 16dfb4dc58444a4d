"""Token vectors that can carry no meaning: all zero, or all the same."""

from __future__ import annotations

import numpy as np

from harness.vectors.store import TokenStore

_SAMPLE = 4096
_SMALL = 1e-3


def doubts(store: TokenStore, side: str) -> list[str]:
    """A line if the token vectors of a store, or of a sample of it, are zero or equal; `side`: whose they are."""
    rows = np.unique(np.linspace(0, len(store.flat) - 1, min(_SAMPLE, len(store.flat)), dtype=np.int64))
    if len(rows) < 2:
        return []
    vectors = np.asarray(store.flat[rows], dtype=np.float32)
    zero = float((np.linalg.norm(vectors, axis=1) < _SMALL).mean())
    if zero > 0.5:
        return [f"{100 * zero:.0f} % of the token vectors of the {side} are zero, so scores mean little"]
    if np.abs(vectors - vectors[0]).max() < _SMALL:
        return [f"all token vectors of the {side} are the same, so scores mean nothing"]
    return []
