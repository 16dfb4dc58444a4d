"""MUVERA's buckets on a CPU: tokens are summed first and projected afterwards.

A projection is linear, so the sum of projected tokens is the projection of their sum. Summing costs dim additions per
token and repetition, whereas projecting each token would cost dim * d multiply-adds. Then there is one projection per
bucket, 2^k per document and repetition, however long the document is.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

_STEP = 1 << 32  # above every token number: (Hamming distance, token) in one number


@njit(nogil=True, cache=True)
@no_type_check
def sum_buckets(tokens, sides, offsets, bits, fill, sums):
    """The vector of each bucket: the sum (`fill` false, a query) or mean (`fill` true, a document) of its tokens.

    ``bucket(token, r) = sum_j [sides[token, r * bits + j] > 0] 2^j``. With `fill`, an empty bucket takes the token that
    is nearest in Hamming distance between the bits; the first on ties.

    Parameters
    ----------
    tokens : float32 [tokens, dim]
    sides : float32 [tokens, R * bits], the tokens' products with the hyperplanes
    offsets : int64 [texts + 1]; a text without tokens is all zeros
    sums : float32 [R, texts * 2^bits, dim], written
    """
    buckets, dim = 1 << bits, tokens.shape[1]
    counts = np.empty(buckets, np.int64)
    nearest = np.empty(buckets, np.int64)
    for text in range(len(offsets) - 1):
        for r in range(sums.shape[0]):
            place = sums[r, text * buckets : (text + 1) * buckets]
            place[:] = 0
            counts[:] = 0
            nearest[:] = (bits + 1) * _STEP
            for token in range(offsets[text], offsets[text + 1]):
                bucket = 0
                for j in range(bits):
                    bucket |= (sides[token, r * bits + j] > 0) << j
                if counts[bucket] == 0:
                    nearest[bucket] = token
                counts[bucket] += 1
                for c in range(dim):
                    place[bucket, c] += tokens[token, c]
            if fill and offsets[text] < offsets[text + 1]:
                _across_bits(nearest, bits)
                for bucket in range(buckets):
                    if counts[bucket] == 0:
                        place[bucket] = tokens[nearest[bucket] % _STEP]
                    elif counts[bucket] > 1:
                        share = np.float32(1) / np.float32(counts[bucket])
                        for c in range(dim):
                            place[bucket, c] *= share


@njit(nogil=True, cache=True)
@no_type_check
def _across_bits(nearest, bits):
    """For each bucket, the minimum of (distance + Hamming distance, token) over all buckets, in one pass per bit.

    A Hamming distance is a sum over bits, so each pass only compares buckets that differ in one bit.
    """
    for j in range(bits):
        for bucket in range(len(nearest)):
            if not (bucket >> j) & 1:
                across = bucket | (1 << j)
                here, there = nearest[bucket], nearest[across]
                nearest[bucket] = min(here, there + _STEP)
                nearest[across] = min(there, here + _STEP)
