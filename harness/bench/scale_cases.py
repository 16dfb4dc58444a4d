"""Cases of synthetic corpora, up to a million documents: seconds, peak memory, and bytes of an index that is kept.

Each case has a process of its own, whose peak memory is shown.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harness import indexes
from harness.bench.timing import Row, host
from harness.config.entries import entry
from harness.methods import registry
from harness.ranking.resources import Resources
from harness.system.errors import HarnessError
from harness.vectors.store import StoreInMemory, TokenVectors

SIZES = (25_000, 50_000, 100_000, 200_000)
LENGTH, DIM, QUERIES, QUERY_LENGTH, K = 100, 128, 300, 32, 1000
OPTIONS = {"muvera": {}, "smve": {"width": 16_384, "keep": 16}}  # a quarter of SMVE's default: minutes, not an hour
SEED = 42


@dataclass(frozen=True)
class Corpus:
    """A search of a synthetic corpus, or the building of an index of it.

    Attributes
    ----------
    method : the entry of conf/method, with `OPTIONS`
    documents, length : number of documents, and tokens of each
    draws : independent draws of the method's random numbers, searched one after the other
    index : the entry of conf/index in which the codes are kept; "" for none
    queries : number of queries
    """

    method: str
    documents: int
    length: int = LENGTH
    draws: int = 1
    index: str = ""
    queries: int = QUERIES

    @property
    def given(self) -> dict[str, object]:
        """The method's entry."""
        return {**entry("method", self.method), **OPTIONS[self.method]}

    @property
    def title(self) -> str:
        """The corpus, the method's options, the draws and the index."""
        options = [f"{name}={value}" for name, value in registry.arguments(self.given).items() if name != "seed"]
        more = [f"{self.draws} draws"] * (self.draws > 1) + [f"index={self.index}"] * bool(self.index)
        corpus = f"{self.documents} documents x {self.length} tokens x {DIM}"
        return ", ".join([self.method, corpus, f"{self.queries} queries", " ".join(options), *more])


CORPORA = (
    *(Corpus(method, documents) for method in OPTIONS for documents in SIZES),
    *(Corpus("muvera", documents, draws=10) for documents in SIZES),
    Corpus("smve", SIZES[0], draws=10),  # one size alone: a draw takes minutes
    *(Corpus("muvera", documents, length=75) for documents in (250_000, 1_000_000)),
    *(Corpus("muvera", 200_000, index=index, queries=30) for index in ("sq8", "pq")),
)


class Synthetic(TokenVectors):
    """Random unit token vectors, generated when they are read: the corpus is neither in memory nor on a disk.

    Attributes
    ----------
    seconds : time that generating has taken so far
    """

    def __init__(self, texts: int, length: int, seed: int) -> None:
        super().__init__(DIM, np.full(texts, length, dtype=np.int64))
        self.seed, self.seconds = seed, 0.0

    def _read(self, first: int, last: int) -> np.ndarray:
        began = time.perf_counter()
        tokens = np.random.default_rng([self.seed, first]).standard_normal((last - first, DIM), dtype=np.float32)
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        self.seconds += time.perf_counter() - began
        return tokens


def scale(memory_mb: int) -> Iterator[Row]:
    """Seconds and peak memory of each corpus; for an index, building and searching have one row each."""
    for corpus in CORPORA:
        try:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                measured, peak, disk = pool.submit(_measured, corpus, memory_mb, torch.get_num_threads()).result()
        except BrokenProcessPool as error:
            raise HarnessError(
                f"{corpus.title}: the process was stopped, as a rule for its memory: free some, or lower memory_mb."
            ) from error
        for step, seconds in measured.items():
            title = f"{corpus.title}, {step}" if corpus.index else corpus.title
            unknown = (None, None, None, None, 0.0, 1)
            yield Row("scale", title, "", "", seconds, *unknown, host(), peak, corpus.documents, disk_mb=disk)


def _measured(corpus: Corpus, memory_mb: int, threads: int) -> tuple[dict[str, float], float, float | None]:
    """Step -> seconds, without those of generating the corpus; the peak resident memory and the index's size in MB."""
    torch.set_num_threads(threads)
    docs = Synthetic(corpus.documents, corpus.length, 1)
    tokens = Synthetic(corpus.queries, QUERY_LENGTH, 2).rows(0, corpus.queries).tokens
    queries = StoreInMemory(tokens, np.full(corpus.queries, QUERY_LENGTH))
    with tempfile.TemporaryDirectory() as folder:
        resources = Resources(torch.device("cpu"), memory_mb << 20, Path(folder))
        measure = _kept if corpus.index else _searched
        seconds, disk = measure(corpus, docs, queries, resources)
    return seconds, _peak_mb(), disk


def _peak_mb() -> float:
    """The peak resident memory of this process; ``ru_maxrss`` of a new one begins with that of its parent."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS, in bytes
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _searched(
    corpus: Corpus, docs: Synthetic, queries: TokenVectors, resources: Resources
) -> tuple[dict[str, float], None]:
    """The codes are made and searched block by block."""
    draws = [(registry.make({**corpus.given, "seed": SEED + draw}), queries) for draw in range(corpus.draws)]
    began = time.perf_counter()
    for _ in type(draws[0][0]).search_draws(draws, docs, K, resources):
        pass
    return {"searched": time.perf_counter() - began - docs.seconds}, None


def _kept(
    corpus: Corpus, docs: Synthetic, queries: TokenVectors, resources: Resources
) -> tuple[dict[str, float], float]:
    """The codes are kept in an index on disk, which is then read and searched."""
    index, codes = (
        indexes.make(entry("index", corpus.index)),
        registry.make(corpus.given).codes(docs, queries, resources),
    )
    began = time.perf_counter()
    index.build(codes, resources.cache)
    built = time.perf_counter()
    opened = index.open(resources.cache)
    asked = codes.queries()
    ready = time.perf_counter()
    for part in asked:
        index.search(opened, part, K, torch.get_num_threads())
    seconds = {"built": built - began - docs.seconds, "searched": time.perf_counter() - ready}
    return seconds, sum(path.stat().st_size for path in resources.cache.iterdir()) / 2**20
