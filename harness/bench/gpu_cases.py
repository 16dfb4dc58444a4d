"""Cases for a GPU: its operations per second in each step, and their share of what the card makes of a large product.

    python -m harness bench device=cuda

Documents and queries are random unit vectors, so no data set is needed but for the encoding of texts. A step begins
with token vectors in the computer's memory, as the pipeline has them, unless the case says that they are on the card.
Operations are those of the definition: a multiply-add counts two, padding and a number's second half count nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import torch

from harness.bench.kernel_cases import muvera_options
from harness.bench.timing import Case, Row, Work, row
from harness.config.entries import entry
from harness.measure.testbed import Testbed
from harness.methods import muvera_gpu, registry, smve_gpu
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding
from harness.models.checkpoint import load as load_model
from harness.models.checkpoint import locate
from harness.ranking import maxsim_gpu
from harness.ranking.maxsim import Pairs
from harness.vectors.forward import vectors
from harness.vectors.store import StoreInMemory

PRODUCT, DOCUMENTS, LENGTH, QUERIES, QUERY_LENGTH, DIM, CANDIDATES, TEXTS = 8192, 4000, 100, 1000, 32, 128, 1000, 2048


class Card:
    """A device, timed: a step's seconds, and its operations beside those of the largest products.

    Attributes
    ----------
    rates : dtype -> operations per second of a product of `PRODUCT` x `PRODUCT` matrices
    """

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device, self.runs = device, runs
        self.rates: dict[torch.dtype, float] = {}

    def product(self, dtype: torch.dtype) -> Row:
        """Measure the rate of a large product."""
        left, right = (torch.randn(PRODUCT, PRODUCT, device=self.device).to(dtype) for _ in range(2))
        name = f"product of {PRODUCT} x {PRODUCT} matrices, {str(dtype).removeprefix('torch.')}"
        measured = self.timed(name, lambda: left @ right, 2 * PRODUCT**3, None)
        self.rates[dtype] = 2 * PRODUCT**3 / measured.ours_seconds
        return measured

    def timed(
        self, case: str, work: Work, operations: int, dtype: torch.dtype | None, documents: int | None = None
    ) -> Row:
        """The row of a step: the median of its runs after one to warm up, and the peak of the card's memory."""
        on_gpu, seconds = self.device.type == "cuda", []
        for _ in range(self.runs + 1):
            if on_gpu:
                torch.cuda.reset_peak_memory_stats(self.device)
            began = time.perf_counter()
            work()
            if on_gpu:
                torch.cuda.synchronize(self.device)
            seconds.append(time.perf_counter() - began)
        limit = None if dtype is None else operations / self.rates[dtype]
        peak = torch.cuda.max_memory_allocated(self.device) / 2**20 if on_gpu else None
        found = row(Case("gpu", case, work), statistics.median(seconds[1:]), None, limit, seconds[1:])
        return replace(found, peak_mb=peak, documents=documents, operations=operations)


def gpu(testbed: Testbed, device: torch.device, runs: int) -> Iterator[Row]:
    """All rows: the card's products, MaxSim, MUVERA, SMVE, and the encoding of the testbed's documents."""
    card = Card(device, runs)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        yield card.product(dtype)
    docs, queries = _random(DOCUMENTS, LENGTH, device), _random(QUERIES, QUERY_LENGTH, device)
    yield from _maxsim(card, docs, queries)
    yield from _muvera(card, docs, queries)
    yield from _smve(card, docs, queries)
    yield from _encoding(card, testbed)


def _maxsim(card: Card, docs: StoreInMemory, queries: StoreInMemory) -> Iterator[Row]:
    from harness.ranking.maxsim_triton import maxima  # few machines without a GPU have Triton

    block, asked = docs.rows(0, len(docs)), maxsim_gpu.prepare(queries, card.device)
    each = 2 * QUERY_LENGTH * LENGTH * DIM
    sizes = f"{len(queries)} queries x {len(docs)} documents"
    operations = each * len(queries) * len(docs)
    tokens = torch.from_numpy(block.tokens).to(card.device).half()
    offsets = torch.from_numpy(block.offsets).to(card.device)
    every = torch.arange(len(docs) + 1, device=card.device) * len(queries)
    yield card.timed(
        f"exact MaxSim, {sizes}, tokens on the card",
        lambda: maxima(asked, tokens, offsets, every, None).sum(dim=1),
        *(operations, torch.float16, len(docs)),
    )
    yield card.timed(
        f"exact MaxSim, {sizes}", lambda: maxsim_gpu.block_scores(asked, block), operations, torch.float16, len(docs)
    )
    rng, depth = np.random.default_rng(0), min(CANDIDATES, len(docs))
    rows = np.array([rng.permutation(len(docs))[:depth] for _ in range(len(queries))])
    bounds, wanted, _ = Pairs.of([rows], len(queries)).of_rows(0, len(docs))
    yield card.timed(
        f"MaxSim, {len(queries)} queries x {depth} of {len(docs)} documents",
        lambda: maxsim_gpu.pair_scores(asked, block, bounds, wanted),
        *(each * len(wanted), torch.float16, len(docs)),
    )


def _muvera(card: Card, docs: StoreInMemory, queries: StoreInMemory) -> Iterator[Row]:
    options = muvera_options()
    fde = FixedDimensionalEncoding(DIM, **options, device=card.device)
    block = docs.rows(0, len(docs) // 4)
    planes = options["repetitions"] * (options["bits"] + options["projection"])
    yield card.timed(
        f"MUVERA, encode {len(block.lengths)} documents",
        lambda: muvera_gpu.encode(block, fde.planes, fde.projections, fde.bits, fill=True),
        *(2 * DIM * planes * len(block.tokens), torch.float32, len(block.lengths)),
    )
    codes, asked = (
        muvera_gpu.encode(some, fde.planes, fde.projections, fde.bits, fill)
        for some, fill in ((block, True), (queries.rows(0, len(queries)), False))
    )
    columns = asked.T.contiguous()
    yield card.timed(
        f"MUVERA, search {len(queries)} queries x {len(codes)} documents",
        lambda: muvera_gpu.dot_products([columns], codes, block),
        *(2 * fde.size * len(queries) * len(codes), torch.float32, len(codes)),
    )


def _smve(card: Card, docs: StoreInMemory, queries: StoreInMemory) -> Iterator[Row]:
    options = registry.arguments(entry("method", "smve"))
    encoding = SparseEncoding(DIM, **options, device=card.device)
    block = docs.rows(0, len(docs) // 4)
    yield card.timed(
        f"SMVE, encode {len(block.lengths)} documents",
        lambda: smve_gpu.encode(encoding, block, mean=True),
        *(2 * DIM * encoding.size * len(block.tokens), torch.float16, len(block.lengths)),
    )
    index = smve_gpu.Index(smve_gpu.encode(encoding, block, mean=True))
    asked = smve_gpu.encode(encoding, queries.rows(0, len(queries)), mean=False)
    yield card.timed(
        f"SMVE, search {len(queries)} queries x {len(block.lengths)} documents",
        lambda: index.scores(asked),
        *(2 * index.documents._nnz() * len(queries), torch.float32, len(block.lengths)),
    )


def _encoding(card: Card, testbed: Testbed) -> Iterator[Row]:
    """The forward pass as the pipeline calls it, from texts to token vectors; operations are those of linear layers."""
    texts = list(islice(cycle(testbed.dataset.docs.values()), TEXTS))
    given = testbed.options.model.given
    checkpoint = locate(given, testbed.options.models_dir)
    model = load_model(given, checkpoint, card.device, testbed.source.query_length)
    weights = sum(module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Linear))
    for dtype in (torch.float32, torch.bfloat16):

        def work(dtype: torch.dtype = dtype) -> list[np.ndarray]:
            return vectors(model, texts, False, testbed.options.batch_tokens or 65_536, dtype)

        tokens, name = sum(map(len, work())), str(dtype).removeprefix("torch.")
        yield card.timed(
            f"encode {len(texts)} documents of {tokens / len(texts):.0f} tokens, {testbed.model_name}, {name}",
            work,
            *(2 * weights * tokens, dtype, len(texts)),
        )


def _random(texts: int, length: int, device: torch.device) -> StoreInMemory:
    """Random unit vectors that float16 holds exactly, as those of a store."""
    tokens = torch.nn.functional.normalize(torch.randn(texts * length, DIM, device=device), dim=1)
    return StoreInMemory(tokens.half().cpu().numpy(), np.full(texts, length))
