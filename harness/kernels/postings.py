"""Sparse codes of SMVE on a CPU: summing kept projections, inverting codes into an index, and scoring.

Summing takes one addition per kept projection, inverting one move per number of a code, and scoring one multiply-add
per query and posting of its anchors.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
@no_type_check
def sum_anchors(chosen, values, offsets, mean, sums, counts, ends, anchors, weights):
    """The sparse code of each text: per anchor, the sum (or mean) of the projections of the tokens that kept it.

    Parameters
    ----------
    chosen : int32 [tokens, kept], values : float32 [tokens, kept]
    offsets : int64 [texts + 1]
    mean : whether the projections are averaged (a document) or summed (a query)
    sums : float32 [size], counts : int32 [size], scratch space, all zero before and after
    ends : int64 [texts + 1], anchors : int32 [tokens * kept], weights : float32 [tokens * kept], written:
        the code of text i is ``weights[ends[i]:ends[i + 1]]`` at ``anchors[ends[i]:ends[i + 1]]``, in any order
    """
    end = 0
    ends[0] = 0
    for text in range(len(offsets) - 1):
        begin = end
        for token in range(offsets[text], offsets[text + 1]):
            for i in range(chosen.shape[1]):
                anchor = chosen[token, i]
                if counts[anchor] == 0:
                    anchors[end] = anchor
                    end += 1
                sums[anchor] += values[token, i]
                counts[anchor] += 1
        for i in range(begin, end):
            anchor = anchors[i]
            weights[i] = sums[anchor] / np.float32(counts[anchor]) if mean else sums[anchor]
            sums[anchor] = 0
            counts[anchor] = 0
        ends[text + 1] = end


@njit(nogil=True, cache=True)
@no_type_check
def invert(ends, anchors, weights, starts, texts, posted):
    """Postings of each anchor, texts ascending, from the codes of the texts; a counting sort.

    ends, anchors, weights : codes of the texts, from `sum_anchors`
    starts : int64 [size + 1], texts : uint16 [numbers], posted : float32 [numbers], written: anchor a is kept by
        ``texts[starts[a]:starts[a + 1]]`` with ``posted[starts[a]:starts[a + 1]]``
    """
    starts[:] = 0
    for i in range(ends[-1]):
        starts[anchors[i] + 1] += 1
    for a in range(len(starts) - 1):
        starts[a + 1] += starts[a]
    for text in range(len(ends) - 1):
        for i in range(ends[text], ends[text + 1]):
            place = starts[anchors[i]]
            texts[place] = text
            posted[place] = weights[i]
            starts[anchors[i]] = place + 1
    for a in range(len(starts) - 1, 0, -1):  # each start has moved to its end, which is the next anchor's start
        starts[a] = starts[a - 1]
    starts[0] = 0


@njit(nogil=True, cache=True)
@no_type_check
def score_postings(ends, anchors, weights, starts, texts, posted, first, last, scores):
    """Sparse dot products of the queries first to last - 1 with every text of an inverted index.

    ends, anchors, weights : codes of the queries, from `sum_anchors`; starts, texts, posted : from `invert`
    scores : float32 [last - first, texts], written
    """
    scores[:] = 0
    for query in range(first, last):
        of_query = scores[query - first]
        for i in range(ends[query], ends[query + 1]):
            anchor, weight = anchors[i], weights[i]
            for j in range(starts[anchor], starts[anchor + 1]):
                of_query[texts[j]] += weight * posted[j]  # unsigned, so numba does not check for negative indices
