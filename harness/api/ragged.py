"""Token vectors of texts as Python gives them: a list, or a mapping from ids, of arrays [tokens, dim]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from harness.system.errors import HarnessError
from harness.vectors.arrays import TokenArrays
from harness.vectors.store import StoreInMemory


def joined(texts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All tokens, float16 or float32 [tokens, dim], and the number of tokens of each text.

    Raises
    ------
    HarnessError
        If there is no text, or one has another shape than [tokens, dim].
    """
    arrays = [np.asarray(text) for text in texts]
    if not arrays:
        raise HarnessError("there are no token vectors, expected those of at least one text.")
    dim = arrays[0].shape[-1]
    for row, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != dim:
            raise HarnessError(
                f"the token vectors of text {row} have shape {list(array.shape)}, expected [tokens, {dim}]."
            )
    tokens = np.concatenate(arrays)
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    return (tokens if tokens.dtype == np.float16 else tokens.astype(np.float32, copy=False)), lengths


def vectors(texts: Sequence[np.ndarray]) -> StoreInMemory:
    """The texts as the methods read them.

    Raises
    ------
    HarnessError
        As `joined`, or if a number is not finite.
    """
    tokens, lengths = joined(texts)
    if not (finite := np.isfinite(tokens).all(axis=1)).all():
        row = int(np.searchsorted(np.cumsum(lengths), np.argmin(finite), side="right"))
        raise HarnessError(f"the token vectors of text {row} have NaN or infinity, expected finite numbers.")
    return StoreInMemory(tokens, lengths)


def named(
    label: str, texts: Mapping[str, np.ndarray], masks: Mapping[str, Mapping[str, np.ndarray]] | None = None
) -> TokenArrays:
    """The texts with their ids, as given vectors; `masks`: name -> id -> bool [tokens]."""
    tokens, lengths = joined(texts.values())
    flat = {name: np.concatenate([mask[text] for text in texts]) for name, mask in (masks or {}).items()}
    return TokenArrays(label, list(texts), tokens, lengths, flat)
