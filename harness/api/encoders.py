"""The encoders by themselves: what the methods of the harness compute, for use in other code.

    centering = Centering("corpus").fit(documents)
    muvera = Muvera(repetitions=20).fit(documents)
    index = muvera.encode(centering.encode(documents))
    scores = muvera.score(muvera.encode(centering.encode(queries, is_query=True), is_query=True), index)

Texts are sequences of arrays [tokens, dim], float16 or float32. Everything runs on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse

from harness.api.ragged import vectors
from harness.methods import muvera, smve
from harness.methods.smve_codes import SparseCodes
from harness.system.errors import HarnessError
from harness.vectors import centering
from harness.vectors.store import Block, TokenVectors

_BLOCK_BYTES = 1 << 28
_CPU = torch.device("cpu")
Texts = Sequence[np.ndarray]


class _Encoder:
    """What MUVERA and SMVE have in common: random parts that are drawn for a dimension, and codes of blocks."""

    _encoding: Any = None
    _dim = 0

    def _blocks(self, texts: Texts, row_bytes: int = 0) -> list[Block]:
        if self._encoding is None:
            raise HarnessError(f"{type(self).__name__} is not fitted: call fit(documents) first.")
        store = vectors(texts)
        if store.dim != self._dim:
            raise HarnessError(f"the token vectors have dimension {store.dim}, expected {self._dim} as in fit().")
        token_bytes = 12 * store.dim + self._encoding.token_bytes
        return list(store.blocks(token_bytes, row_bytes, _BLOCK_BYTES))


class Muvera(_Encoder):
    """MUVERA's fixed dimensional encodings: one dense vector per text (Dhulipala et al., arXiv 2405.19504).

    Parameters
    ----------
    repetitions, bits, projection
        R, k and d of docs/definitions.md; `projection` None: no inner projection.
    seed
        The seed of the hyperplanes and projections.

    Raises
    ------
    HarnessError
        For options that it cannot have.
    """

    def __init__(self, repetitions: int = 20, bits: int = 5, projection: int | None = 16, seed: int = 42) -> None:
        self._method = muvera.Muvera(repetitions, bits, projection, seed)

    def fit(self, documents: Texts) -> Muvera:
        """Draw the random parts; of the documents only the dimension counts."""
        self._dim = vectors(documents[:1]).dim
        self._encoding = self._method.buckets(self._dim, _CPU)
        return self

    def encode(self, texts: Texts, is_query: bool = False) -> Float[np.ndarray, "texts size"]:
        """The codes, float32 [texts, R * 2^k * d]: of queries sums, of documents means per bucket.

        Raises
        ------
        HarnessError
            If it is not fitted, or the texts have another dimension.
        """
        blocks = self._blocks(texts, self._encoding.row_bytes if self._encoding else 0)
        encode = self._encoding.queries if is_query else self._encoding.documents
        return np.concatenate([encode(block).numpy() for block in blocks])

    def score(
        self, queries: Float[np.ndarray, "queries size"], documents: Float[np.ndarray, "docs size"]
    ) -> Float[np.ndarray, "queries docs"]:
        """Dot products of codes, float32: an estimate of the sum over query tokens of their best match."""
        return queries @ documents.T


class Smve(_Encoder):
    """SMVE: one sparse vector per text (Spisak and Galovic, 2026).

    Parameters
    ----------
    width, keep, repetitions, anchors
        w, k, the number of independent sets and the kind of anchors, as in docs/definitions.md.
    seed
        The seed of the anchors.

    Raises
    ------
    HarnessError
        For options that it cannot have.
    """

    def __init__(
        self, width: int = 65536, keep: int = 32, repetitions: int = 1, anchors: str = "gaussian", seed: int = 42
    ) -> None:
        self._method = smve.Smve(width, keep, repetitions, anchors, seed)

    def fit(self, documents: Texts) -> Smve:
        """Draw the anchors; of the documents only the dimension counts."""
        self._dim = vectors(documents[:1]).dim
        self._encoding = self._method.anchors(self._dim, _CPU)
        return self

    def encode(self, texts: Texts, is_query: bool = False) -> sparse.csr_matrix:
        """The codes, float32 [texts, repetitions * w]: of queries sums, of documents means per anchor.

        Raises
        ------
        HarnessError
            If it is not fitted, or the texts have another dimension.
        """
        blocks = self._blocks(texts)
        encode = self._encoding.queries if is_query else self._encoding.documents
        codes = SparseCodes.joined([encode(block) for block in blocks], self._encoding.size)
        return sparse.csr_matrix((codes.weights, codes.anchors, codes.ends), (len(codes), codes.size))

    def score(self, queries: sparse.csr_matrix, documents: sparse.csr_matrix) -> Float[np.ndarray, "queries docs"]:
        """Dot products of codes, float32."""
        return (queries @ documents.T).toarray()


class Centering:
    """What is subtracted from token vectors before they are encoded (docs/definitions.md#centering).

    Parameters
    ----------
    kind
        ``none``, ``corpus``, ``own``, ``text`` or ``shrunk``.
    renormalize
        Whether the centered vectors are made unit vectors again.
    share, document_share
        For ``shrunk``: the weight of a query's, and of a document's own mean.

    Raises
    ------
    HarnessError
        For an unknown kind.
    """

    def __init__(
        self, kind: str = "corpus", renormalize: bool = False, share: float = 0.5, document_share: float = 0.0
    ) -> None:
        if kind not in centering.KINDS:
            raise HarnessError(f"unknown centering '{kind}': expected one of {', '.join(centering.KINDS)}.")
        self.kind, self.renormalize, self.shares = kind, renormalize, (share, document_share)
        self._fitted: centering.Centering | None = None

    def fit(self, documents: Texts, queries: Texts | None = None) -> Centering:
        """Take the means: mu_D of the documents and, for ``own`` and ``shrunk``, mu_Q of queries.

        Parameters
        ----------
        queries
            Queries that are not evaluated: mu_Q of the evaluated ones would be fitted on what it is tested on.

        Raises
        ------
        HarnessError
            If queries are needed and not given.
        """
        kind = centering.KINDS[self.kind]
        if kind.needs_query_mean and queries is None:
            raise HarnessError(f"center '{self.kind}' subtracts the mean of queries: call fit(documents, queries).")
        mean = centering.token_mean(vectors(documents)) if kind.needs_document_mean else None
        others = vectors(queries) if queries is not None else None
        self._fitted = centering.fit(self.kind, mean, others, self.renormalize, *self.shares)
        return self

    def encode(self, texts: Texts, is_query: bool = False) -> list[Float[np.ndarray, "tokens dim"]]:
        """The centered token vectors of each text, float32.

        Raises
        ------
        HarnessError
            If it is not fitted.
        """
        if self._fitted is None:
            raise HarnessError("Centering is not fitted: call fit(documents) first.")
        apply = self._fitted.apply_queries if is_query else self._fitted.apply_documents
        centered: TokenVectors = apply(vectors(texts))
        return [centered[row] for row in range(len(centered))]
