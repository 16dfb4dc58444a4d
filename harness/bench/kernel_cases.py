"""Cases of single kernels: MaxSim, MUVERA's and SMVE's encoding, their searches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse
import torch

from harness.bench.timing import Case, installed
from harness.methods import smve_anchors
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.muvera_cpu import dot_products
from harness.methods.smve import InvertedIndex, SparseCodes, SparseEncoding
from harness.ranking.maxsim import Pairs
from harness.ranking.topk import RunningTopK
from harness.vectors.store import Block, StoreInMemory, TokenVectors

CPU = torch.device("cpu")
DOCUMENTS, QUERIES, CANDIDATES = 1000, 32, 1000
_PIECE = 4096  # rows of a plain product at once


def rerank(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """MaxSim of queries with their candidates (random ones: the least in common), and of all pairs."""
    asked = _memory(queries.rows(0, min(QUERIES, len(queries))))
    rng = np.random.default_rng(0)
    depth = min(CANDIDATES, len(docs))
    rows = np.array([rng.permutation(len(docs))[:depth] for _ in range(len(asked))])
    pairs = Pairs.of([rows], len(asked))
    held = _memory(docs.rows(0, len(docs)))
    listed = [torch.from_numpy(held[row]) for row in range(len(docs))]
    arrays = [text.numpy() for text in listed]
    query_arrays = [asked[q] for q in range(len(asked))]

    everything = held.rows(0, len(held))  # in memory, as the peers have it
    bounds, wanted, _ = pairs.of_rows(0, len(held))
    stack = maxsim.prepare(asked, CPU)

    def ours() -> np.ndarray:
        return pairs.look_up(maxsim.pair_scores(stack, everything, bounds, wanted), rows)

    def pylate() -> list[dict[int, float]]:
        from pylate.rank import rerank as pylate_rerank

        found = []
        for q, best in enumerate(rows):  # one query at a time, as its documents are padded together
            ranked = pylate_rerank([best.tolist()], [query_arrays[q]], [[listed[row] for row in best]])
            found.append({int(one["id"]): float(one["score"]) for one in ranked[0]})
        return found

    def agree_pylate(mine: np.ndarray, theirs: list[dict[int, float]]) -> None:
        for q, best in enumerate(rows):
            np.testing.assert_allclose(mine[q], [theirs[q][int(row)] for row in best], rtol=1e-4)

    def maxsim_cpu() -> np.ndarray:
        import maxsim_cpu

        return np.array(
            [
                maxsim_cpu.maxsim_scores_variable(query_arrays[q], [arrays[row] for row in best])
                for q, best in enumerate(rows)
            ]
        )

    def agree_maxsim_cpu(mine: np.ndarray, theirs: np.ndarray) -> None:
        np.testing.assert_allclose(mine, theirs, rtol=1e-4)

    tokens = everything.tokens
    pair_tokens = int(np.sum(docs.lengths[rows].sum(axis=1) * asked.lengths))
    wide = np.ascontiguousarray(
        np.resize(asked.rows(0, len(asked)).tokens, (max(1, pair_tokens // len(tokens)), docs.dim)).T
    )
    limit = _plain(tokens, wide)
    what = f"{len(asked)} queries x {depth} candidates, {pair_tokens / rows.size / asked.lengths.mean():.0f} tokens"
    yield Case("rerank", what, ours, ("pylate", "pylate.rank.rerank"), pylate, limit, agree_pylate)
    peer = maxsim_cpu if installed("maxsim-cpu") != "missing" else None
    yield Case("rerank", what, ours, ("maxsim-cpu", "maxsim_cpu"), peer, limit, agree_maxsim_cpu)

    some = _memory(docs.rows(0, min(DOCUMENTS, len(docs))))
    block = some.rows(0, len(some))
    stack_all = maxsim.prepare(queries, CPU)
    wide_all = np.ascontiguousarray(queries.rows(0, len(queries)).tokens.T)
    yield Case(
        "rerank",
        f"all pairs, {len(queries)} queries x {len(some)} documents",
        lambda: maxsim.block_scores(stack_all, block),
        limit=_plain(block.tokens, wide_all),
    )


def muvera(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """Document encoding at R=20, k=5, d=16; the limit is the product with the hyperplanes alone."""
    block = docs.rows(0, min(DOCUMENTS, len(docs)))
    fde = FixedDimensionalEncoding(docs.dim, 20, 5, 16, 42, CPU)
    peer = None
    if installed("muvera-python") != "missing":
        from muvera import Muvera

        encoder = Muvera(20, 5, docs.dim, "ams_sketch", 16)
        listed = [block.tokens[a:b] for a, b in zip(block.offsets, block.offsets[1:], strict=False)]

        def peer() -> np.ndarray:
            return encoder.encode_documents(listed)

    yield Case(
        "muvera",
        f"encode {len(block.lengths)} documents, {len(block.tokens)} tokens, R=20 k=5 d=16",
        lambda: fde.documents(block),
        ("muvera-python", "muvera.Muvera.encode_documents (batch)"),
        peer,
        _plain(block.tokens, fde.planes.numpy()),
    )


def smve(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """The k largest of w projections of each token, centered as SMVE sees them; the limit is the product.

    The peer takes as many tokens at once (256, 1,024, 4,096) as it is fastest with.
    """
    for kind, width, keep, count in (
        ("gaussian", 65_536, 32, 4096),
        ("hadamard", 65_536, 32, 4096),
        ("gaussian", 4096, 32, 16_384),
        ("gaussian", 4096, 8, 16_384),
        ("hadamard", 4096, 8, 16_384),
    ):
        stop = int(np.searchsorted(docs.offsets, count)) if docs.offsets[-1] > count else len(docs)
        block = docs.rows(0, stop)
        tokens = block.tokens - block.tokens.mean(axis=0)
        encoding = SparseEncoding(docs.dim, width, keep, 1, kind, 42, CPU)
        of_block = Block(0, tokens, block.lengths)
        matrix, vectors = torch.from_numpy(encoding.sets[0].matrix), torch.from_numpy(tokens)

        def at_once(size: int, matrix=matrix, vectors=vectors, keep=keep) -> Callable[[], object]:  # type: ignore[no-untyped-def]
            return lambda: [torch.topk(part @ matrix, keep) for part in vectors.split(size)]

        sizes = [size for size in (256, 1024, 4096) if size * width < 1 << 29]
        best = min(sizes, key=lambda size: _once(at_once(size)))
        in_bfloat16 = smve_anchors.fast_bfloat16()
        narrow = (vectors.bfloat16(), matrix.bfloat16()) if in_bfloat16 else (vectors, matrix)

        def product(narrow=narrow) -> None:  # type: ignore[no-untyped-def]
            for part in narrow[0].split(256):
                for columns in narrow[1].split(4096, dim=1):
                    part @ columns

        yield Case(
            "smve",
            f"encode {len(tokens)} tokens, w={width} k={keep} {kind}",
            lambda encoding=encoding, of_block=of_block: encoding.documents(of_block),  # type: ignore[misc]
            ("torch", "torch.topk(tokens @ anchors, k)"),
            at_once(best),
            product if kind == "gaussian" else None,
        )


def search(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """From codes to the 1,000 best documents of each query."""
    k = min(1000, len(docs))
    fde = FixedDimensionalEncoding(docs.dim, 20, 5, 16, 42, CPU)
    block, asked = docs.rows(0, len(docs)), queries.rows(0, len(queries))
    codes, query_codes = fde.documents(block), fde.queries(asked).T.contiguous()

    def of_muvera() -> np.ndarray:
        best = RunningTopK(len(queries), k)
        best.add(0, dot_products([query_codes], codes, block))
        return best.ranking().scores

    def with_torch() -> np.ndarray:
        return torch.topk(query_codes.T @ codes.T, k).values.numpy()

    def agree(mine: np.ndarray, theirs: np.ndarray) -> None:
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)

    plain = _plain(codes.numpy(), query_codes.numpy())
    sizes = f"{len(queries)} queries x {len(docs)} documents, top {k}"
    yield Case(
        "search",
        f"MUVERA, {sizes}",
        of_muvera,
        ("torch", "torch.topk(queries @ documents.T, k)"),
        with_torch,
        plain,
        agree,
    )
    for width, keep in ((4096, 8), (16_384, 16), (65_536, 32)):
        encoding = SparseEncoding(docs.dim, width, keep, 1, "hadamard", 42, CPU)
        mean = block.tokens.mean(axis=0)
        sparse = encoding.documents(Block(0, block.tokens - mean, block.lengths))
        sparse_queries = encoding.queries(Block(0, asked.tokens - mean, asked.lengths))
        columns, rows = _scipy(sparse).T.tocsr(), _scipy(sparse_queries)

        index = InvertedIndex(sparse)

        def of_smve(asked=sparse_queries, index=index) -> np.ndarray:  # type: ignore[no-untyped-def]
            return index.scores(asked)

        def of_scipy(rows=rows, columns=columns) -> scipy.sparse.csr_array:  # type: ignore[no-untyped-def]
            return rows @ columns

        def agree_sparse(mine: np.ndarray, theirs: scipy.sparse.csr_array) -> None:
            np.testing.assert_allclose(mine, theirs.toarray(), rtol=1e-3, atol=1e-4)

        touched = int(np.diff(columns.indptr)[rows.indices].sum())
        case = f"SMVE w={width} k={keep}, {sizes}, {touched / rows.shape[0]:.0f} postings a query"
        yield Case("search", case, of_smve, ("scipy", "csr @ csr"), of_scipy, 8 * touched / _bandwidth(), agree_sparse)


def _memory(block: Block) -> StoreInMemory:
    """A block as a store of its own: nothing is read from a disk while it is timed."""
    return StoreInMemory(block.tokens, block.lengths)


def _plain(left: np.ndarray, right: np.ndarray) -> Callable[[], None]:
    """The plain float32 product of all rows, in pieces, by the same BLAS with all its threads."""
    out = np.empty((min(_PIECE, len(left)), right.shape[1]), dtype=np.float32)

    def product() -> None:
        for start in range(0, len(left), _PIECE):
            piece = left[start : start + _PIECE]
            np.matmul(piece, right, out=out[: len(piece)])

    return product


def _scipy(codes: SparseCodes) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array((codes.weights, codes.anchors, codes.ends), shape=(len(codes), codes.size))


def _bandwidth() -> float:
    """Bytes a second that all threads together read, from a table that fits the last cache (16 MiB)."""
    table = torch.ones(1 << 22)
    table.sum()
    return 20 * table.nbytes / _once(lambda: [table.sum() for _ in range(20)])


def _once(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
