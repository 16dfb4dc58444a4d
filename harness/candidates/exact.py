"""Exact search: MaxSim of every query with every document. The ceiling of all first stages."""

from __future__ import annotations

from harness.candidates import Found, Resources
from harness.maxsim import pad_queries, score_all
from harness.progress import Stopwatch, bar
from harness.ranking import RunningTopK
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
            ranking = best.ranking()
        return Found(ranking, watch.seconds, docs.nbytes)
