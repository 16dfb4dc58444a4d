"""Sortable keys, and the selection of the k largest.

A pair (score, row) becomes one int64, which sorts by score descending, then row ascending:

    key = order(score) * 2^32 + (2^32 - 1 - row),   order: float32 -> int32, increasing
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

_LANES = 64
LOW = 0xFFFFFFFF


@njit(nogil=True, cache=True)
@no_type_check
def keep_largest(values, count, k):
    """Move the k largest of ``values[:count]`` to the front, the k-th largest to place k - 1.

    This is Hoare's selection, with about 3 * count comparisons.
    """
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break


@njit(nogil=True, cache=True)
@no_type_check
def offer(best, filled, floors, scores, first_row, first_query, last_query):
    """Update the k best documents of queries with the scores of consecutive documents.

    A query holds up to 2k keys; when this space is full, the k largest stay, and the smallest of them becomes the
    floor. A document below the floor costs one comparison, 64 at a time. After n documents, about k * ln(n / k) have
    passed the floor.

    Parameters
    ----------
    best : int64 [queries, 2k], updated: keys, in no particular order
    filled : int64 [queries], updated: number of keys that a query holds
    floors : int64 [queries], updated: the key that a document must exceed
    scores : float32 [queries, documents], C order; -inf is never taken
    first_row : row of the first document
    first_query, last_query : the queries to update, first to last - 1
    """
    k = best.shape[1] // 2
    count = scores.shape[1]
    bits = scores.view(np.int32)
    for query in range(first_query, last_query):
        held = filled[query]
        floor = floors[query]
        least = value_of(floor)
        for start in range(0, count, _LANES):
            stop = min(start + _LANES, count)
            passing = False
            for i in range(start, stop):
                passing |= scores[query, i] >= least
            if not passing:
                continue
            for i in range(start, stop):
                if scores[query, i] >= least and scores[query, i] > -np.inf:
                    key = key_of(bits[query, i], first_row + i)
                    if key > floor:
                        best[query, held] = key
                        held += 1
                        if held == 2 * k:
                            keep_largest(best[query], held, k)
                            held = k
                            floor = best[query, k - 1]
                            least = value_of(floor)
        filled[query] = held
        floors[query] = floor


@njit(nogil=True, cache=True)
@no_type_check
def key_of(bits, row):
    """The key of a float32 (its bits, int32) and a row or anchor number; -0.0 counts as 0.0."""
    if bits == np.int32(-0x80000000):
        bits = np.int32(0)
    order = np.int64(bits) if bits >= 0 else np.int64(bits ^ 0x7FFFFFFF)
    return (order << 32) | np.int64(LOW - row)


@njit(nogil=True, cache=True)
@no_type_check
def value_of(key):
    """The float32 that a key was made from."""
    order = np.int32(key >> 32)
    scratch = np.empty(1, np.int32)
    scratch[0] = order if order >= 0 else order ^ np.int32(0x7FFFFFFF)
    return scratch.view(np.float32)[0]
