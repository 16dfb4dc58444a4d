"""The reduction of MaxSim: a maximum over the document's tokens, then a sum over the query's tokens."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
@no_type_check
def maxsim_of_similarities(similarities, scores):
    """MaxSim of one document with each query: ``scores[q] = sum_i max_j similarities[q, j, i]``.

    There is one comparison per similarity, 16 at a time. This takes a few percent of the time of the product that
    computed the similarities, as long as they are in the cache. The sum is in float64.

    Parameters
    ----------
    similarities : float32 [queries, document tokens (at least one), query tokens]
    scores : float32 [queries], written
    """
    tokens, length = similarities.shape[1], similarities.shape[2]
    best = np.empty(length, np.float32)
    for query in range(len(scores)):
        for i in range(length):
            best[i] = similarities[query, 0, i]
        for j in range(1, tokens - 1, 2):  # two at once: half the loads and stores of `best`
            for i in range(length):
                best[i] = max(best[i], max(similarities[query, j, i], similarities[query, j + 1, i]))
        if tokens % 2 == 0:
            for i in range(length):
                best[i] = max(best[i], similarities[query, tokens - 1, i])
        total = 0.0
        for i in range(length):
            total += best[i]
        scores[query] = total
