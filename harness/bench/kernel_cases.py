"""Cases for single kernels: MaxSim, and the encodings of MUVERA and SMVE."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from harness.bench.timing import Case, installed
from harness.config.entries import entry
from harness.methods import registry, smve_anchors
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding
from harness.methods.smve_codes import SparseCodes
from harness.ranking import maxsim_cpu as maxsim
from harness.ranking.maxsim import Pairs
from harness.vectors.store import Block, StoreInMemory, TokenVectors

CPU, DOCUMENTS, QUERIES, CANDIDATES = torch.device("cpu"), 1000, 32, 1000
_PIECE = 4096  # rows per piece of a plain product


def rerank(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """MaxSim of queries with random candidates (so that queries share the fewest documents), and of all pairs."""
    few_queries = _in_memory(queries.rows(0, min(QUERIES, len(queries))))
    rng = np.random.default_rng(0)
    depth = min(CANDIDATES, len(docs))
    rows = np.array([rng.permutation(len(docs))[:depth] for _ in range(len(few_queries))])
    pairs = Pairs.of([rows], len(few_queries))
    held = _in_memory(docs.rows(0, len(docs)))
    listed = [torch.from_numpy(held[row]) for row in range(len(docs))]
    arrays = [text.numpy() for text in listed]
    query_arrays = [few_queries[q] for q in range(len(few_queries))]

    everything = held.rows(0, len(held))  # in memory, as the peers have it
    bounds, wanted, _ = pairs.of_rows(0, len(held))
    stack = maxsim.prepare(few_queries, CPU)

    def ours() -> np.ndarray:
        return pairs.look_up(maxsim.pair_scores(stack, everything, bounds, wanted), rows)

    def pylate() -> list[dict[int, float]]:
        from pylate.rank import rerank as pylate_rerank

        scores = []
        for q, best in enumerate(rows):  # one query at a time, as its documents are padded together
            ranked = pylate_rerank([best.tolist()], [query_arrays[q]], [[listed[row] for row in best]])
            scores.append({int(hit["id"]): float(hit["score"]) for hit in ranked[0]})
        return scores

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

    def agree_array(mine: np.ndarray, theirs: np.ndarray) -> None:
        np.testing.assert_allclose(mine, theirs, rtol=1e-4)

    tokens = everything.tokens
    pair_tokens = int(np.sum(docs.lengths[rows].sum(axis=1) * few_queries.lengths))
    wide = np.ascontiguousarray(
        np.resize(few_queries.rows(0, len(few_queries)).tokens, (max(1, pair_tokens // len(tokens)), docs.dim)).T
    )
    limit = plain_product(tokens, wide)
    tokens_each = pair_tokens / rows.size / few_queries.lengths.mean()
    what = f"{len(few_queries)} queries x {depth} candidates, {tokens_each:.0f} tokens"
    yield Case("rerank", what, ours, ("pylate", "pylate.rank.rerank"), pylate, limit, agree_pylate)
    peer = maxsim_cpu if installed("maxsim-cpu") != "missing" else None
    yield Case("rerank", what, ours, ("maxsim-cpu", "maxsim_cpu"), peer, limit, agree_array)

    block, stack_all = docs.rows(0, min(DOCUMENTS, len(docs))), maxsim.prepare(queries, CPU)
    query_block = queries.rows(0, len(queries))

    def lateweave() -> np.ndarray:
        from lateweave import maxsim_scores_packed

        lengths, threads = block.lengths.astype(np.int64), torch.get_num_threads()
        starts = zip(query_block.offsets, query_block.offsets[1:], strict=False)
        asked = (query_block.tokens[start:end] for start, end in starts)
        return np.array([maxsim_scores_packed(query, block.tokens, lengths, threads=threads) for query in asked])

    yield Case(
        "rerank",
        f"all pairs, {len(queries)} queries x {len(block.lengths)} documents",
        lambda: maxsim.block_scores(stack_all, block),
        ("lateweave", "lateweave.maxsim_scores_packed"),
        lateweave if installed("lateweave") != "missing" else None,
        plain_product(block.tokens, np.ascontiguousarray(query_block.tokens.T)),
        agree_array,
    )


def muvera(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """Encoding of documents with the options of conf/method; the limit is the product with the hyperplanes alone.

    The peer draws random numbers of its own, so that its codes are others: only sizes are compared.
    """
    block = docs.rows(0, min(DOCUMENTS, len(docs)))
    options = muvera_options()
    repetitions, bits, projection = (options[name] for name in ("repetitions", "bits", "projection"))
    fde = FixedDimensionalEncoding(docs.dim, **options, device=CPU)
    peer = None
    if installed("muvera-python") != "missing":
        from muvera import Muvera

        encoder = Muvera(repetitions, bits, docs.dim, "ams_sketch", projection)
        listed = [block.tokens[a:b] for a, b in zip(block.offsets, block.offsets[1:], strict=False)]

        def peer() -> np.ndarray:
            return np.asarray(encoder.encode_documents(listed))

    def agree(mine: torch.Tensor, theirs: np.ndarray) -> None:
        assert theirs.shape == mine.shape, theirs.shape

    yield Case(
        "muvera",
        f"encode {len(block.lengths)} documents, {len(block.tokens)} tokens, R={repetitions} k={bits} d={projection}",
        lambda: fde.documents(block),
        ("muvera-python", "muvera.Muvera.encode_documents (batch)"),
        peer,
        plain_product(block.tokens, fde.planes.numpy()),
        agree,
    )


def smve(docs: TokenVectors, queries: TokenVectors) -> Iterator[Case]:
    """The k largest of w projections of each centered token; the limit is the product with the anchors alone.

    The peer runs with the number of tokens per call (256, 1,024 or 4,096) that is fastest for it.
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
        centered = Block(0, tokens, block.lengths)
        matrix, vectors = torch.from_numpy(encoding.sets[0].matrix), torch.from_numpy(tokens)

        def at_once(size: int, matrix=matrix, vectors=vectors, keep=keep) -> Callable[[], object]:  # type: ignore[no-untyped-def]
            return lambda: [torch.topk(part @ matrix, keep) for part in vectors.split(size)]

        sizes = (size for size in (256, 1024, 4096) if size * width < 1 << 29)
        best = min(sizes, key=lambda size: seconds(at_once(size)))
        in_bfloat16 = smve_anchors.fast_bfloat16()
        narrow = (vectors.bfloat16(), matrix.bfloat16()) if in_bfloat16 else (vectors, matrix)

        def product(narrow=narrow) -> None:  # type: ignore[no-untyped-def]
            for part in narrow[0].split(256):
                for columns in narrow[1].split(4096, dim=1):
                    part @ columns

        def agree(mine: SparseCodes, theirs: list[Any], width=width, texts=block.lengths) -> None:  # type: ignore[no-untyped-def]
            chosen, values = (torch.cat([getattr(part, name) for part in theirs]) for name in ("indices", "values"))
            sums, counts = np.zeros((2, len(texts), width), np.float32)
            places = (np.repeat(np.arange(len(texts)), texts)[:, None], chosen.numpy())
            np.add.at(sums, places, values.numpy())
            np.add.at(counts, places, 1)
            same = np.isclose(mine.dense(), sums / np.maximum(counts, 1), rtol=1e-4, atol=1e-5)
            assert same.mean() > 1 - 1e-4, same.mean()  # near ties are decided by rounding

        yield Case(
            "smve",
            f"encode {len(tokens)} tokens, w={width} k={keep} {kind}",
            lambda encoding=encoding, centered=centered: encoding.documents(centered),  # type: ignore[misc]
            ("torch", "torch.topk(tokens @ anchors, k)"),
            at_once(best),
            product if kind == "gaussian" else None,
            agree,
        )


def muvera_options() -> dict[str, Any]:
    """The options of conf/method/muvera.yaml, as the arguments of `FixedDimensionalEncoding`."""
    return registry.arguments(entry("method", "muvera"))


def _in_memory(block: Block) -> StoreInMemory:
    """A block as token vectors in memory, so that nothing is read from the disk while it is timed."""
    return StoreInMemory(block.tokens, block.lengths)


def plain_product(left: np.ndarray, right: np.ndarray) -> Callable[[], None]:
    """A function that computes the plain float32 product of all rows, in pieces, with the same BLAS and its threads."""
    out = np.empty((min(_PIECE, len(left)), right.shape[1]), dtype=np.float32)

    def product() -> None:
        for start in range(0, len(left), _PIECE):
            piece = left[start : start + _PIECE]
            np.matmul(piece, right, out=out[: len(piece)])

    return product


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
