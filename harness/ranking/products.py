"""Dot products of dense vectors, tile by tile, so that a product does not depend on what else is multiplied.

BLAS has other kernels for few rows than for many, and their sums differ in the last bits. So rows are multiplied in
tiles of `TILE` rows of the whole, a part of a tile as if it were whole: equal rows have equal products wherever they
stand, in any block of the whole, in any shard and on any number of threads.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from harness.system.threads import map_threads, tiles

TILE = 256


def tiled(
    rows: Float[np.ndarray, "rows size"], columns: Float[np.ndarray, "size columns"], first: int
) -> Float[np.ndarray, "rows columns"]:
    """``rows @ columns``, float32 or as the rows.

    Parameters
    ----------
    first
        The number of the first row in the whole.
    """
    result = np.empty((len(rows), columns.shape[1]), dtype=rows.dtype)

    def multiply(some: range) -> None:
        tile, place = rows[some.start : some.stop], (first + some.start) % TILE
        if len(some) < TILE:
            tile = np.pad(tile, ((place, TILE - place - len(some)), (0, 0)))
        result[some.start : some.stop] = (tile @ columns)[place : place + len(some)]

    map_threads(multiply, tiles(first, len(rows), TILE))
    return result
