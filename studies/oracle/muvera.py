"""MUVERA by other code, on random token vectors: fastembed's numpy, and Google's C++ (muvfde).

    .venv-oracle/bin/python studies/oracle/muvera.py OUTPUT.npz

It runs in the environment of `make oracle`, and no code of the harness takes part; `tests/pipeline/test_oracle.py`
compares. The file then has

    documents, lengths, queries    token vectors [tokens, dim], their number in each document, [queries, tokens, dim]
    planes, projections            fastembed's random matrices [R, dim, k] and [R, dim, d]
    document_codes, query_codes    fastembed's encodings [texts, R * 2^k * d]
    sketched, unprojected          Google's score of each pair (query, document) in each repetition [pairs, draws]
    pairs_queries, pairs_documents token vectors of these pairs [pairs, tokens, dim]
"""

from __future__ import annotations

import sys

import muvfde
import numpy as np
from fastembed.postprocess import Muvera

DIM, LENGTHS, QUERIES = 96, [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233], (12, 32)
PAIRS, PAIR_DIM, DRAWS, BITS, WIDTH = 12, 32, 4000, 3, 4
SEED = 7


def main(path: str) -> None:
    """Encode and write."""
    rng = np.random.default_rng(SEED)
    documents, queries = units(rng, sum(LENGTHS), DIM), units(rng, np.prod(QUERIES), DIM).reshape(*QUERIES, DIM)
    muvera = Muvera(DIM)  # R=20, k=5, d=16
    for simhash in muvera.simhash_projections:
        simhash.simhash_vectors = simhash.simhash_vectors.astype(np.float32)
    texts = np.split(documents, np.cumsum(LENGTHS)[:-1])
    asked, found = units(rng, PAIRS * 8, PAIR_DIM), units(rng, PAIRS * 40, PAIR_DIM)
    pairs = asked.reshape(PAIRS, 8, PAIR_DIM), found.reshape(PAIRS, 40, PAIR_DIM)
    sketch, identity = muvfde.projection_type.AMS_SKETCH, muvfde.projection_type.DEFAULT_IDENTITY
    np.savez(
        path,
        documents=documents,
        lengths=LENGTHS,
        queries=queries,
        planes=np.stack([simhash.simhash_vectors for simhash in muvera.simhash_projections]),
        projections=muvera.dim_reduction_projections / np.sqrt(muvera.dim_proj),
        document_codes=np.stack([muvera.process_document(text) for text in texts]),
        query_codes=np.stack([muvera.process_query(query) for query in queries]),
        sketched=np.stack([scores(query, document, sketch) for query, document in zip(*pairs, strict=True)]),
        unprojected=np.stack([scores(query, document, identity) for query, document in zip(*pairs, strict=True)]),
        pairs_queries=pairs[0],
        pairs_documents=pairs[1],
    )


def units(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    """Unit vectors, float32 [count, dim], that share a direction, as those of a ColBERT do."""
    vectors = rng.standard_normal((count, dim)) + 0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def scores(query: np.ndarray, document: np.ndarray, projection: muvfde.projection_type) -> np.ndarray:
    """Google's F_q . F_d in each repetition [draws]."""

    def encoded(tokens: np.ndarray, kind: muvfde.encoding_type) -> np.ndarray:
        config = muvfde.fixed_dimensional_encoding_config().set_num_repetitions(DRAWS).set_seed(SEED)
        config = config.set_num_simhash_projections(BITS).set_encoding_type(kind).set_projection_type(projection)
        config = config.set_projection_dimension(WIDTH).enable_fill_empty(kind == muvfde.encoding_type.AVERAGE)
        return np.asarray(muvfde.generate_fixed_dimensional_encoding(tokens, config)).reshape(DRAWS, -1)

    kinds = muvfde.encoding_type
    return (encoded(query, kinds.DEFAULT_SUM) * encoded(document, kinds.AVERAGE)).sum(axis=1)


if __name__ == "__main__":
    main(sys.argv[1])
