"""Exact search: MaxSim of every query with every document. The ceiling of all first stages."""

from __future__ import annotations

import numpy as np

from harness.candidates import Found, Resources
from harness.maxsim import pad_queries, rerank_scores, score_all
from harness.progress import Stopwatch, bar
from harness.ranking import Ranking, RunningTopK
from harness.store import TokenStore


class Exact:
    """Brute force over the token vectors."""

    def search(self, docs: TokenStore, queries: TokenStore, k: int, resources: Resources) -> Found:
        """The k best documents of each query by MaxSim."""
        watch = Stopwatch()
        with watch.phase("search"):
            best = RunningTopK(len(queries), min(k, len(docs)), resources.device)
            padded = pad_queries(queries, resources.device)
            with bar("exact MaxSim", len(docs), resources.show) as progress:
                for rows, scores in score_all(padded, docs, resources.block_bytes):
                    best.add(rows, scores)
                    progress.update(len(rows))
            nearest = best.ranking().rows
            # Blocks put a document at any place of a product, which moves its score by float rounding. The best are
            # scored again one by one, so that equal documents tie whatever the block size, as they do in reranking.
            exact = rerank_scores(queries, docs, nearest, resources.block_bytes, resources.device)
            order = np.lexsort((nearest, -exact), axis=1)
        ranking = Ranking(np.take_along_axis(nearest, order, axis=1), np.take_along_axis(exact, order, axis=1))
        return Found(ranking, watch.seconds, docs.nbytes)
