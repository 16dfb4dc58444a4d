"""NDCG@10 from the definitions alone: token vectors by PyLate's own `encode`, MaxSim by numpy, nothing of harness/.

    MaxSim(q, d) = sum_i max_j q_i . d_j,   NDCG@10 = DCG / ideal DCG,   DCG = sum over ranks of gain / log2(rank + 1)

Documents with equal scores stand by id, descending. Vectors are rounded to float16, as they are kept. Documents whose
scores are almost the same may change places by rounding; so a score is an interval: the lowest and the highest NDCG@10
that any order of such documents has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from meanings import Meaning

CUT = 10
NEAR = 2e-3  # scores that differ by less may change places


class Interval(NamedTuple):
    """The lowest and the highest value that a query's NDCG@10 may have."""

    low: float
    high: float

    def has(self, value: float) -> bool:
        return self.low - 1e-6 <= value <= self.high + 1e-6


class Encoder:
    """PyLate's ColBERT from a folder; each text is encoded once, and alone."""

    def __init__(
        self,
        folder: Path,
        query_length: int | None = None,
        document_length: int | None = None,
        query_expansion: bool | None = None,
    ) -> None:
        from pylate.models import ColBERT

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = ColBERT(
                str(folder),
                device="cpu",
                query_length=query_length,
                document_length=document_length,
                do_query_expansion=query_expansion,
                trust_remote_code=False,
                local_files_only=True,
            )
        self.vectors = cache(self._vectors)

    def _vectors(self, text: str, is_query: bool) -> np.ndarray:
        found = self.model.encode([text], is_query=is_query, show_progress_bar=False, convert_to_numpy=True)[0]
        return np.asarray(found, dtype=np.float32).astype(np.float16).astype(np.float64)


def maxsim(query: np.ndarray, document: np.ndarray) -> float:
    """Sum over query tokens of the best dot product in a document; -inf for a document without tokens."""
    return float((query @ document.T).max(axis=1).sum()) if len(document) else -math.inf


def expected(meaning: Meaning, encoder: Encoder) -> dict[str, Interval]:
    """The NDCG@10 of each judged query."""
    texts = {text: encoder.vectors(text, False) for text in meaning.docs.values()}
    scores: dict[str, Interval] = {}
    for query, judged in meaning.qrels.items():
        tokens = encoder.vectors(meaning.queries[query], True)
        by_text = {text: maxsim(tokens, vectors) for text, vectors in texts.items()}
        found = [
            (by_text[text], doc)
            for doc, text in meaning.docs.items()
            if (doc != query or meaning.keeps_self_matches) and by_text[text] > -math.inf
        ]
        scores[query] = _interval(found, judged)
    return scores


def _interval(found: list[tuple[float, str]], judged: Mapping[str, int]) -> Interval:
    """The values of one query, from the scores and ids of the documents that it may find."""
    gains = {doc: max(0, grade) for doc, grade in judged.items()}
    ideal = _dcg(sorted(gains.values(), reverse=True))
    if not ideal:
        return Interval(0.0, 0.0)
    ordered = sorted(found, reverse=True)  # equal scores: ids descending
    runs: list[list[tuple[float, str]]] = []
    for pair in ordered:
        if runs and runs[-1][-1][0] - pair[0] < NEAR:
            runs[-1].append(pair)
        else:
            runs.append([pair])
    low: list[int] = []
    high: list[int] = []
    for run in runs:
        here = [gains.get(doc, 0) for _, doc in run]
        is_tie = run[0][0] == run[-1][0]
        low += here if is_tie else sorted(here)
        high += here if is_tie else sorted(here, reverse=True)
    return Interval(_dcg(low) / ideal, _dcg(high) / ideal)


def _dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:CUT], start=1))
