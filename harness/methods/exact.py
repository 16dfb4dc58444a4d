"""Exact search: MaxSim of every query with every document. The ceiling of all first stages."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from harness.methods.method import Method, SearchResult
from harness.ranking import maxsim
from harness.ranking.maxsim import Pairs
from harness.ranking.resources import Resources
from harness.system.progress import Stopwatch, bar
from harness.vectors.store import TokenVectors


class Exact(Method):
    """Brute force over the token vectors."""

    title = "exact MaxSim"
    order = 3
    end_to_end = True
    exhaustive = True

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by MaxSim."""
        return search_and_score(docs, queries, k, Pairs.of([], len(queries)), resources)[0]


def search_and_score(
    docs: TokenVectors, queries: TokenVectors, k: int, pairs: Pairs, resources: Resources
) -> tuple[SearchResult, Float[np.ndarray, " pairs"]]:
    """Exact search, and the scores of some pairs that its one pass over the corpus comes across."""
    watch = Stopwatch(resources.device)
    searching = bar("exact MaxSim", len(docs), resources.show, device=resources.device)
    with watch.phase("search"), searching as progress:
        best = resources.top_k(len(queries), min(k, len(docs)))
        scores = maxsim.score(queries, docs, pairs, resources.block_bytes, resources.device, best.add, progress.update)
        ranking = best.ranking()
    return SearchResult(ranking, watch.seconds, docs.nbytes), scores
