"""SMVE's selection on a CPU: the k largest of w projections of each token, without sorting or storing all w.

    1. coarse   projections are computed in pieces of a few thousand anchors that fit the cache, by a product with a
                bounded error: in float32, or in bfloat16 if the CPU multiplies it several times as fast
    2. group    columns g, g + 128, g + 256, ... form group g; the maxima of the 128 groups cost one comparison per
                projection, 16 or 32 at a time. The k-th largest of these maxima is a floor, as k groups reach it
    3. survive  only groups whose maximum reaches the floor, up to the error, are searched: about k groups in the first
                piece and k / n in the n-th
    4. exact    survivors, a few more than k, are projected again in float32, and the k largest are kept

Steps 1 to 3 drop no anchor that could be among the k largest, so the result does not depend on the precision of the
product. Positive floats compare like their bits as integers, so one kernel serves both precisions. For tokens whose
floor is not positive, or with too many survivors, step 4 tries all anchors.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

from harness.kernels.keys import LOW, keep_largest, key_of

GROUPS = 128


@njit(nogil=True, cache=True)
@no_type_check
def survivors(projections, shift, first_anchor, k, reach, kept, anchors, values, floors):
    """Add those anchors of a piece that may be among a token's k largest to the survivors of earlier pieces.

    Parameters
    ----------
    projections : int16 or int32 [tokens, rows, GROUPS], the bits of bfloat16 or float32 numbers
    shift : 16 for bfloat16, 0 for float32: ``bits << shift`` are those of a float32
    first_anchor : number of the piece's first anchor; 0 for the first piece, which sets the floors
    reach : float32 [tokens], at least twice the error of a token's projections, not counting the rounding to bfloat16
    kept : int64 [tokens], updated: number of survivors so far; -1: step 4 tries all anchors
    anchors : int32 [tokens, room], values : as `projections` [tokens, room], updated: the survivors
    floors : as `projections` [tokens], updated: no projection below it can be among the k largest
    """
    room = anchors.shape[1]
    maxima = np.empty(GROUPS, projections.dtype)
    order = np.empty(room, projections.dtype)
    bits = np.empty(1, np.int32)
    real = bits.view(np.float32)
    for t in range(projections.shape[0]):
        held = kept[t]
        if held < 0:
            continue
        for g in range(GROUPS):
            maxima[g] = projections[t, 0, g]
        for r in range(1, projections.shape[1]):
            for g in range(GROUPS):
                maxima[g] = max(maxima[g], projections[t, r, g])
        floor = floors[t]
        if first_anchor == 0:
            floor = _below(_nearly_kth(maxima, k, 16 - shift), shift, reach[t], bits, real)
            if floor <= 0:
                kept[t] = -1
                continue
        found = held
        for g in range(GROUPS):
            if maxima[g] >= floor:
                for r in range(projections.shape[1]):
                    if projections[t, r, g] >= floor:
                        if found < room:
                            anchors[t, found] = first_anchor + r * GROUPS + g
                            values[t, found] = projections[t, r, g]
                        found += 1
        if found > room:
            kept[t] = -1
            continue
        if found > held and found > k:
            order[:found] = values[t, :found]
            keep_largest(order, found, k)
            floor = max(floor, _below(order[k - 1], shift, reach[t], bits, real))
            held, found = found, 0
            for i in range(held):
                if values[t, i] >= floor:
                    anchors[t, found], values[t, found] = anchors[t, i], values[t, i]
                    found += 1
        floors[t] = floor
        kept[t] = found


@njit(nogil=True, cache=True)
@no_type_check
def _nearly_kth(maxima, k, low_bits):
    """The k-th largest of the groups' maxima without its lowest bits, or 0.

    A bisection over 15 bits finds it, with one pass over the maxima per step.
    """
    low, high = 0, 0x7FFF
    while low < high:
        middle = (low + high + 1) >> 1
        bound = middle << low_bits
        count = 0
        for g in range(GROUPS):
            count += maxima[g] >= bound
        if count >= k:
            low = middle
        else:
            high = middle - 1
    return low << low_bits


@njit(nogil=True, cache=True)
@no_type_check
def _below(value, shift, reach, bits, real):
    """Bits of a projection minus the reach of errors, rounded down; 0 or less if the difference is not positive."""
    bits[0] = np.int32(value) << shift
    if bits[0] <= 0:
        return 0
    # Rounding to bfloat16 is off by a relative 2^-8 at most, in the floor and in what it is compared with.
    real[0] = real[0] * np.float32(1 - 2 * (2.0**-8 if shift else 2.0**-24)) - reach
    return bits[0] >> shift


@njit(nogil=True, cache=True, fastmath=True)
@no_type_check
def project(token, anchor):
    """``token . anchor``, both float32 [dim]."""
    total = np.float32(0)
    for c in range(len(token)):
        total += token[c] * anchor[c]
    return total


@njit(nogil=True, cache=True)
@no_type_check
def largest(tokens, directions, kept, anchors, k, chosen, values):
    """The k largest exact projections of each token among its survivors; lower anchor numbers win ties.

    Parameters
    ----------
    tokens : float32 [tokens, dim], directions : float32 [w, dim]
    kept, anchors : from `survivors`; where kept is -1, all w anchors are tried
    chosen : int32 [tokens, k], values : float32 [tokens, k], written in no particular order
    """
    keys = np.empty(len(directions), np.int64)
    bits = np.empty(1, np.int32)
    real = bits.view(np.float32)
    for t in range(len(tokens)):
        count = kept[t] if kept[t] >= 0 else len(directions)
        for i in range(count):
            anchor = np.int64(anchors[t, i]) if kept[t] >= 0 else i
            real[0] = project(tokens[t], directions[anchor])
            keys[i] = key_of(bits[0], anchor)
        keep_largest(keys, count, k)
        for i in range(k):
            chosen[t, i] = LOW - (keys[i] & LOW)
            order = np.int32(keys[i] >> 32)
            bits[0] = order if order >= 0 else order ^ np.int32(0x7FFFFFFF)
            values[t, i] = real[0]
