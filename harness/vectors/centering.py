"""Centering, for candidate generation only: PLAID, exact search and reranking see the model's own vectors.

    none     q_i,         d_j
    corpus   q_i - mu_D,  d_j - mu_D     mu_D: mean over all document token vectors (the card's "Center: yes")
    own      q_i - mu_Q,  d_j - mu_D     mu_Q: mean query token vector, of queries that are not evaluated

Why `own`: query tokens, expansion tokens above all, have a direction of their own, so that q_i - mu_D still lies in a
cone and falls into few buckets. `renormalize` makes the centered vectors unit vectors again (off by default).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from harness.config.shards import CHUNK
from harness.system.threads import chunks, map_threads
from harness.vectors.store import TokenStore

KINDS = ("none", "corpus", "own")


@dataclass(frozen=True)
class Centering:
    """What is subtracted from the documents' and the queries' token vectors; None: nothing."""

    documents: Float[np.ndarray, " dim"] | None = None
    queries: Float[np.ndarray, " dim"] | None = None
    renormalize: bool = False

    def apply_documents(self, docs: TokenStore) -> TokenStore:
        """The store's rows, centered as they are read."""
        return _shifted(docs, self.documents, self.renormalize)

    def apply_queries(self, queries: TokenStore) -> TokenStore:
        """The store's rows, centered as they are read."""
        return _shifted(queries, self.queries, self.renormalize)


def token_sums(store: TokenStore) -> Float[np.ndarray, "chunks dim"]:
    """Sums of the token vectors of every `CHUNK` rows, in float64.

    In chunks, so that the same numbers are added in the same order whether a corpus is in one piece or in shards.
    """

    def some(rows: range) -> np.ndarray:
        return store.rows(rows.start, rows.stop).tokens.sum(axis=0, dtype=np.float64)

    return np.array(map_threads(some, chunks(len(store), CHUNK))).reshape(-1, store.dim)


def mean_of(sums: Sequence[Float[np.ndarray, "_ dim"]], tokens: int) -> Float[np.ndarray, " dim"]:
    """The mean, float32 [dim], from the sums of a corpus (or of its shards, in order) and its number of tokens."""
    return (np.concatenate(sums).sum(axis=0) / max(1, tokens)).astype(np.float32)


def token_mean(store: TokenStore) -> Float[np.ndarray, " dim"]:
    """Mean over all token vectors of a store, float32 [dim]."""
    return mean_of([token_sums(store)], int(store.offsets[-1]))


def fit(kind: str, mu_d: Float[np.ndarray, " dim"], mean_queries: TokenStore | None, renormalize: bool) -> Centering:
    """The centering of one kind: `mu_d` is mu_D; `mean_queries` gives mu_Q and is only read for ``own``."""
    if kind == "none":
        return Centering()
    if kind == "corpus":
        return Centering(mu_d, mu_d, renormalize)
    if kind == "own" and mean_queries is not None:
        return Centering(mu_d, token_mean(mean_queries), renormalize)
    raise ValueError(f"centering '{kind}' is not one of {KINDS}, or has no queries to take the mean of")


def _shifted(store: TokenStore, mean: np.ndarray | None, renormalize: bool) -> TokenStore:
    if mean is None:
        return store

    subtrahend = torch.from_numpy(mean)

    def shift(tokens: np.ndarray) -> np.ndarray:
        torch.from_numpy(tokens).sub_(subtrahend)  # in place, on all threads
        if renormalize:
            norms = np.linalg.norm(tokens, axis=1, keepdims=True)
            tokens /= np.where(norms > 0, norms, 1)  # a token that equals the mean stays the zero vector
        return tokens

    return store.map(shift)
