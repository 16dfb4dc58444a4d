"""Cases for the searches of MUVERA's and SMVE's codes."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
import scipy.sparse
import torch

from harness.bench.kernel_cases import CPU, muvera_options, plain_product, seconds
from harness.bench.timing import Case
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.muvera_cpu import dot_products
from harness.methods.smve import SparseEncoding
from harness.methods.smve_codes import InvertedIndex, SparseCodes
from harness.ranking.topk import RunningTopK
from harness.vectors.store import Block, TokenVectors


def search(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """The search from MUVERA's codes to the 1,000 best documents of each query, and from SMVE's to all scores.

    faiss has no sparse product, so SMVE's peer is scipy. Each peer gets its codes in its own layout and uses as many
    threads as ours.
    """
    k = min(1000, len(docs))
    fde = FixedDimensionalEncoding(docs.dim, **muvera_options(), device=CPU)
    block, query_block = docs.rows(0, len(docs)), queries.rows(0, len(queries))
    codes, query_codes = fde.documents(block), fde.queries(query_block).T.contiguous()

    def search_muvera() -> np.ndarray:
        best = RunningTopK(len(queries), k)
        best.add(0, dot_products([query_codes], codes, block))
        return best.ranking().scores

    def search_torch() -> np.ndarray:
        return torch.topk(query_codes.T @ codes.T, k).values.numpy()

    def agree(mine: np.ndarray, theirs: np.ndarray) -> None:
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)

    def search_faiss() -> np.ndarray:
        return flat.search(query_rows, k)[0]

    faiss.omp_set_num_threads(torch.get_num_threads())
    flat, query_rows = faiss.IndexFlatIP(codes.shape[1]), np.ascontiguousarray(query_codes.numpy().T)
    flat.add(codes.numpy())
    sizes = f"{len(queries)} queries x {len(docs)} documents"
    limit = plain_product(codes.numpy(), query_codes.numpy())
    for peer, run in (
        (("torch", "torch.topk(queries @ documents.T, k)"), search_torch),
        (("faiss-cpu", "faiss.IndexFlatIP.search"), search_faiss),
    ):
        yield Case("search", f"MUVERA, {sizes}, top {k}", search_muvera, peer, run, limit, agree)
    for width, keep in ((4096, 8), (16_384, 16), (65_536, 32)):
        encoding = SparseEncoding(docs.dim, width, keep, 1, "hadamard", 42, CPU)
        mean = block.tokens.mean(axis=0)
        sparse = encoding.documents(Block(0, block.tokens - mean, block.lengths))
        sparse_queries = encoding.queries(Block(0, query_block.tokens - mean, query_block.lengths))
        columns, rows = _scipy(sparse).T.tocsr(), _scipy(sparse_queries)
        index = InvertedIndex(sparse)

        def search_smve(codes=sparse_queries, index=index) -> np.ndarray:  # type: ignore[no-untyped-def]
            return index.scores(codes)

        def search_scipy(rows=rows, columns=columns) -> scipy.sparse.csr_array:  # type: ignore[no-untyped-def]
            return rows @ columns

        def agree_sparse(mine: np.ndarray, theirs: scipy.sparse.csr_array) -> None:
            np.testing.assert_allclose(mine, theirs.toarray(), rtol=1e-3, atol=1e-4)

        touched = int(np.diff(columns.indptr)[rows.indices].sum())
        case = f"SMVE w={width} k={keep}, {sizes}, all scores, {touched / rows.shape[0]:.0f} postings a query"
        peer = ("scipy", "csr @ csr")
        yield Case("search", case, search_smve, peer, search_scipy, 8 * touched / _bandwidth(), agree_sparse)


def _scipy(codes: SparseCodes) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array((codes.weights, codes.anchors, codes.ends), shape=(len(codes), codes.size))


def _bandwidth() -> float:
    """Bytes per second that all threads together read from a table that fits the last cache (16 MiB)."""
    table = torch.ones(1 << 22)
    table.sum()
    return 20 * table.nbytes / seconds(lambda: [table.sum() for _ in range(20)])
