"""Projections on structured rotations, by a fast Walsh-Hadamard transform of many tokens at once.

A block of n = 2^m anchors is D H / sqrt(dim): random signs D, then the Hadamard matrix H. Projecting a token on all n
anchors takes n log2(n) additions instead of n * dim multiply-adds: at dim 128, 7 per anchor instead of 128.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

from harness.kernels.keys import LOW, keep_largest, key_of, value_of

LANES = 128
ROWS = 16


@njit(nogil=True, cache=True)
@no_type_check
def transform(values):
    """``values[a, l] = sum_i (-1)^popcount(a & i) values[i, l]`` for every lane l, in place.

    values : float32 [2^m * LANES]. Three steps of the butterfly are done at once (eight runs of rows), with a third of
    the loads and stores; the remaining steps are done one by one. A run is a slice, so that the inner loop is long
    and vectorized.
    """
    run = LANES
    while 8 * run <= len(values):
        for s in range(0, len(values), 8 * run):
            a, b = values[s : s + run], values[s + run : s + 2 * run]
            c, d = values[s + 2 * run : s + 3 * run], values[s + 3 * run : s + 4 * run]
            e, f = values[s + 4 * run : s + 5 * run], values[s + 5 * run : s + 6 * run]
            g, h = values[s + 6 * run : s + 7 * run], values[s + 7 * run : s + 8 * run]
            for i in range(run):
                a1, b1, c1, d1 = a[i] + b[i], a[i] - b[i], c[i] + d[i], c[i] - d[i]
                e1, f1, g1, h1 = e[i] + f[i], e[i] - f[i], g[i] + h[i], g[i] - h[i]
                a2, b2, c2, d2 = a1 + c1, b1 + d1, a1 - c1, b1 - d1
                e2, f2, g2, h2 = e1 + g1, f1 + h1, e1 - g1, f1 - h1
                a[i], b[i], c[i], d[i] = a2 + e2, b2 + f2, c2 + g2, d2 + h2
                e[i], f[i], g[i], h[i] = a2 - e2, b2 - f2, c2 - g2, d2 - h2
        run *= 8
    while 2 * run <= len(values):
        for s in range(0, len(values), 2 * run):
            a, b = values[s : s + run], values[s + run : s + 2 * run]
            for i in range(run):
                a[i], b[i] = a[i] + b[i], a[i] - b[i]
        run *= 2


@njit(nogil=True, cache=True)
@no_type_check
def turn(tokens, rotation):
    """``(tokens @ rotation).T`` with one token per lane, float32 [dim, LANES]; unused lanes are zero.

    tokens : float32 [at most LANES, dim], rotation : float32 [dim, dim]. BLAS is not used because its rounding depends
    on the number of tokens.
    """
    dim = len(rotation)
    lanes = np.zeros((dim, LANES), np.float32)
    for token in range(len(tokens)):
        lanes[:, token] = tokens[token]
    turned = np.zeros((dim, LANES), np.float32)
    for i in range(dim):
        for c in range(dim):
            factor = rotation[c, i]
            for lane in range(LANES):
                turned[i, lane] += factor * lanes[c, lane]
    return turned


@njit(nogil=True, cache=True)
@no_type_check
def largest(tokens, signs, width, k, guess, scale, chosen, values):
    """The k largest projections of each of at most LANES tokens; lower anchor numbers win ties.

    Each projection costs one comparison, for all lanes at a time. `ROWS` projections are searched only if their maximum
    is above the token's floor. A token holds up to 8k candidates; when this space is full, the k largest stay and set
    the floor. The first floor is a guess, with which most tokens never fill the space. For tokens whose guess was too
    high, a second pass starts without a floor.

    Parameters
    ----------
    tokens : float32 [dim, LANES], dim at most n = 2^m; unused lanes are ignored (fewer rows in `chosen`)
    signs : float32 [blocks, n], each 1 or -1; anchor ``b * n + a`` is the a-th of block b
    width : number of anchors; the last block may be used in part
    guess : float32 [LANES], first floors
    scale : factor of the written values
    chosen : int32 [tokens, k], values : float32 [tokens, k], written
    """
    count, n = len(chosen), signs.shape[1]
    rows = min(ROWS, n)
    signed = np.zeros(n * LANES, np.float32)
    block = signed.reshape(n, LANES)
    bits = block.view(np.int32)
    keys = np.empty((LANES, 8 * k), np.int64)
    held = np.zeros(LANES, np.int64)
    maxima = np.empty(LANES, np.float32)
    floors = guess.copy()
    while True:
        for b in range(len(signs)):
            for i in range(len(tokens)):
                sign = signs[b, i]
                for lane in range(LANES):
                    block[i, lane] = tokens[i, lane] * sign
            block[len(tokens) :] = 0
            transform(signed)
            for first in range(0, min(n, width - b * n), rows):
                last = min(first + rows, width - b * n)
                maxima[:] = block[first]
                for a in range(first + 1, last):
                    for lane in range(LANES):
                        maxima[lane] = max(maxima[lane], block[a, lane])
                for lane in range(count):
                    if maxima[lane] <= floors[lane]:
                        continue
                    for a in range(first, last):
                        if block[a, lane] > floors[lane]:
                            keys[lane, held[lane]] = key_of(bits[a, lane], b * n + a)
                            held[lane] += 1
                            if held[lane] == 8 * k:
                                keep_largest(keys[lane], 8 * k, k)
                                held[lane] = k
                                floors[lane] = value_of(keys[lane, k - 1])
        again = False
        for lane in range(count):
            if held[lane] < k:
                if floors[lane] == -np.inf:  # not even all of them are k
                    raise ValueError("a token vector has a number that is not finite")
                again = True
                held[lane] = 0
                floors[lane] = -np.inf
            else:
                floors[lane] = np.inf  # done
        if not again:
            break
    for lane in range(count):
        keep_largest(keys[lane], held[lane], k)
        for i in range(k):
            chosen[lane, i] = LOW - (keys[lane, i] & LOW)
            values[lane, i] = value_of(keys[lane, i]) * scale
