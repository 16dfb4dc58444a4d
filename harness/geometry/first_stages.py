"""Geometry of first stages: how tokens fall on their projections, and how well they follow MaxSim.

A first stage is compared with exact MaxSim on at most ``geometry.documents`` documents and ``geometry.queries``
queries, drawn by the hashes of their ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from jaxtyping import Int

from harness.evaluation.agreement import agreement
from harness.evaluation.ndcg import CUT
from harness.geometry import occupancy
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.methods.exact import Exact
from harness.methods.method import Method
from harness.ranking.ranks import Ranking, drop_self_matches
from harness.system.errors import HarnessError
from harness.vectors.centering import Centering, constant_kinds
from harness.vectors.store import StoreInMemory, TokenVectors, stacked

DEPTHS = (CUT, 50, 100, 200, 400, 1000)
SEED = 0
"""The seed of every sample."""
SAMPLED_TOKENS = 20_000
"""The number of tokens that measures over random pairs take from each side."""
_LOADING_TOKENS = 400_000  # taken from each side, for the load of anchors
_TOKENS = 2  # the fewest of a side
_QUERY_TOKENS, _DOCUMENT_TOKENS = 500, 4000  # 2,000,000 pairs, for the overlap of anchors
Options = dict[str, Any]


class FirstStages:
    """The documents and queries of a testbed on which first stages are compared.

    Parameters
    ----------
    sizes
        The largest number of ``documents`` and of ``queries``.

    Attributes
    ----------
    documents, queries : token vectors of the compared documents and queries
    self_rows : for each query, the row in `documents` of the document with its id, or -1; int64 [queries]
    """

    def __init__(self, testbed: Testbed, sizes: Mapping[str, int]) -> None:
        self.testbed = testbed
        documents = _rows_by_id(list(testbed.dataset.docs), sizes["documents"])
        queries = _rows_by_id(list(testbed.dataset.queries), sizes["queries"])
        place = np.full(len(testbed.dataset.docs) + 1, -1)
        place[documents] = np.arange(len(documents))
        self.documents, self.queries = _subset(testbed.docs, documents), _subset(testbed.queries, queries)
        if min(int(self.documents.offsets[-1]), int(self.queries.offsets[-1])) < _TOKENS:
            raise HarnessError(
                f"{len(documents)} documents or {len(queries)} queries have a single token vector, expected several: "
                "pairs of them are looked at. Raise geometry.documents or geometry.queries."
            )
        self.self_rows = place[testbed.self_rows[queries]]

    @cached_property
    def exact(self) -> Ranking:
        """All compared documents, ranked by MaxSim."""
        found = Exact().search(self.documents, self.queries, len(self.documents), self.testbed.resources)
        return self._without_self(found.ranking)

    @property
    def maxsim_spread(self) -> float:
        """Standard deviation over documents of MaxSim, for each token of the query; mean over queries."""
        found = [scores[rows >= 0] for rows, scores in zip(self.exact.rows, self.exact.scores, strict=True)]
        lengths = np.maximum(1, np.diff(self.queries.offsets))
        return float(np.mean([scores.std() / length for scores, length in zip(found, lengths, strict=True)]))

    def geometry(self, options: Options, centerings: Mapping[str, Centering]) -> Options:
        """The geometry of a method, given as an entry of conf/method, under each centering.

        Returns
        -------
        Space -> ``options``, ``buckets`` or ``anchors`` (`harness.geometry.occupancy`) and ``agreement``
        (`harness.evaluation.agreement`).
        """
        method = registry.make(options)
        found: dict[str, Options] = {}
        for names in share_documents(centerings):
            shifts = [centerings[name] for name in names]
            documents = shifts[0].apply_documents(self.documents)
            sides = [shift.apply_queries(self.queries) for shift in shifts]
            ranking = method.search(documents, stacked(sides), len(documents), self.testbed.resources).ranking
            for i, (name, queries) in enumerate(zip(names, sides, strict=True)):
                rows = slice(i * len(queries), (i + 1) * len(queries))
                own = self._without_self(Ranking(ranking.rows[rows], ranking.scores[rows]))
                found[constant_kinds()[name].space] = {
                    "options": options,
                    **self._occupancy(method, documents, queries),
                    "agreement": {**agreement(own, self.exact, DEPTHS), "documents": len(documents)},
                }
        return found

    def _occupancy(self, method: Method, documents: TokenVectors, queries: TokenVectors) -> Options:
        """How tokens fall on the method's projections; nothing for a method that has none."""
        device, sides = self.testbed.resources.device, {"documents": documents, "queries": queries}
        found: Options = {}
        if buckets := method.buckets(documents.dim, device):
            found["buckets"] = {
                side: occupancy.buckets(buckets, store, occupancy.sample(store, SAMPLED_TOKENS, SEED), SEED)
                for side, store in sides.items()
            }
        if anchors := method.anchors(documents.dim, device):
            found["anchors"] = {
                side: occupancy.anchor_load(anchors, occupancy.sample(store, _LOADING_TOKENS, SEED), SEED)
                for side, store in sides.items()
            }
            found["zero_overlap"] = occupancy.zero_overlap(
                anchors,
                occupancy.sample(queries, _QUERY_TOKENS, SEED),
                occupancy.sample(documents, _DOCUMENT_TOKENS, SEED),
            )
        return found

    def _without_self(self, ranking: Ranking) -> Ranking:
        return drop_self_matches(ranking, self.self_rows, ranking.rows.shape[1])[0]


def share_documents(centerings: Mapping[str, Centering]) -> list[list[str]]:
    """The names of centerings, grouped by the mean that they subtract from the documents: a group shares a search."""
    groups: dict[int, list[str]] = {}
    for name, shift in centerings.items():
        groups.setdefault(id(shift.documents), []).append(name)
    return list(groups.values())


def _rows_by_id(ids: Sequence[str], most: int) -> Int[np.ndarray, " rows"]:
    """Rows of at most `most` ids, those with the smallest sha256, ascending."""
    chosen = sorted(range(len(ids)), key=lambda row: sha256(ids[row].encode()).digest())[:most]
    return np.array(sorted(chosen), dtype=np.int64)


def _subset(store: TokenVectors, rows: Int[np.ndarray, " rows"]) -> TokenVectors:
    """The given rows of a store, in memory; the store itself if these are all of its rows."""
    if len(rows) == len(store):
        return store
    parts = [store[row].astype(np.float16) for row in rows.tolist()]
    return StoreInMemory(np.concatenate(parts), np.array([len(part) for part in parts]))
