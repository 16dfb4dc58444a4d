"""BM25 (Robertson and Zaragoza, 2009) by bm25s, in Lucene's variant (Kamphuis et al., ECIR 2020).

For a query's word w, repeated as often as it stands there, and a document d of |d| words:

    idf(w)       = ln(1 + (N - n_w + 0.5) / (n_w + 0.5))       n_w of N documents have w
    score(q, d)  = sum_w idf(w) f / (f + k1 (1 - b + b |d| / mean |d|))       f: how often w is in d

Words are runs of at least two letters, digits or underscores in lower case, without stop words, reduced to their stems
by Snowball. A document without any word of the query is no candidate.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import Stemmer

from harness.methods.method import TEXTS, Method, SearchResult
from harness.ranking.ranks import Ranking
from harness.ranking.resources import Resources
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch
from harness.system.threads import map_threads


class Bm25(Method):
    """An inverted index over words."""

    title = "BM25"
    order = 6
    reads = TEXTS
    shardable = False  # a word's weight is that of the whole corpus
    sublinear = True
    finds_nothing = "BM25 finds only documents that share a word with the query"

    def __init__(self, k1: float, b: float, stemmer: str | None, stopwords: str | None) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise HarnessError(f"BM25 with k1={k1}, b={b}: expected k1 of at least 0 and b from 0 to 1.")
        if stemmer is not None and stemmer not in Stemmer.algorithms():
            known = ", ".join(Stemmer.algorithms())
            raise HarnessError(f"method.stemmer={stemmer}: expected null or one of {known}.")
        if stopwords not in (None, "english"):
            raise HarnessError(f"method.stopwords={stopwords}: expected english or null.")
        self.k1, self.b, self.stemmer, self.stopwords = k1, b, stemmer, stopwords

    def search_texts(self, docs: Sequence[str], queries: Sequence[str], k: int, resources: Resources) -> SearchResult:
        """The k documents of each query with the highest scores; fewer where fewer have a word of it."""
        import bm25s  # takes a third of a second: only when needed

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        watch = Stopwatch()
        with watch.phase("encode_documents"):
            words = self._words(docs)
            index = bm25s.BM25(method="lucene", k1=self.k1, b=self.b)
            if not any(words):
                raise HarnessError("no document has a word, expected some for method=bm25: check the texts.")
            index.index(words, create_empty_token=False, show_progress=False)
        with watch.phase("encode_queries"):
            asked = self._words(queries)
        rows = np.full((len(queries), min(k, len(docs))), -1, dtype=np.int64)
        scores = np.full(rows.shape, -np.inf, dtype=np.float32)

        def search_query(query: int) -> None:
            known = [word for word in asked[query] if word in index.vocab_dict]
            if known:
                found = index.get_scores(known)
                best = _best(found, rows.shape[1])
                rows[query, : len(best)], scores[query, : len(best)] = best, found[best]

        with watch.phase("search"):
            map_threads(search_query, range(len(queries)))
        size = sum(part.nbytes for part in index.scores.values() if isinstance(part, np.ndarray))
        return SearchResult(Ranking(rows, scores), watch.seconds, size, {"words": len(index.vocab_dict)})

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of each text."""
        import bm25s

        stemmer: Any = Stemmer.Stemmer(self.stemmer) if self.stemmer else None
        return bm25s.tokenize(  # type: ignore[no-any-return]
            list(texts), stopwords=self.stopwords or [], stemmer=stemmer, return_ids=False, show_progress=False
        )


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k highest scores above 0, highest first, ties by row."""
    found = np.flatnonzero(scores > 0)
    return found[np.lexsort((found, -scores[found]))[:k]]
