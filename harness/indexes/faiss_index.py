"""Indexes of dense vectors by faiss (Douze et al., arXiv 2401.08281), inner product.

    fp16, sq8   each number in 16 or 8 bits                                                  (scalar quantizer)
    pq          each `dsub` numbers by the nearest of 2^nbits centroids (Jégou et al., TPAMI 2011)
    opq         the same after a rotation to `d_out` numbers that is learned, too (Ge et al., CVPR 2013)
    rabitq      each number by its sign, with two factors per vector, after a rotation (Gao and Long, SIGMOD 2024)
    hnsw        a graph over the vectors (Malkov and Yashunin, TPAMI 2018), which may be quantized (`storage`)
    ivf         `nlist` clusters of vectors; a search looks at the `nprobe` nearest; may be quantized, too

One thread builds: a graph depends on the order in which threads add to it, and faiss trains the many small quantizers
of PQ ten times slower with two threads than with one. Searches use as many threads as torch; a query has one of them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.indexes.index import VECTORS, Codes, Index
from harness.ranking.ranks import Ranking
from harness.system.errors import HarnessError
from harness.system.messages import warn_once

log = logging.getLogger(__name__)
FILE = "index.faiss"
MOST_TRAINING = 16384
"""Vectors that an index is trained on, evenly spaced in the corpus: 64 for each of 256 centroids."""
STORAGES = {"flat": "Flat", "fp16": "SQfp16", "sq8": "SQ8"}
_RANGES = {
    "M": (2, math.inf, "at least 2"),  # a graph of 1 ends the process
    "nbits": (1, 16, "1 to 16 bits"),
    "nb_bits": (1, 9, "1 to 9 bits"),
    "qb": (0, 8, "0 (not quantized) to 8 bits"),
}
_AT_LEAST_ONE = (1, math.inf, "at least 1")
_SEARCHED_BY = ("efSearch", "nprobe", "qb")
_ADDED = 1024
_FEW = 39
"""Training vectors per centroid under which faiss warns."""


class FaissIndex(Index):
    """An index of faiss, by the name and the options of its entry."""

    takes = VECTORS

    def __init__(self, name: str, **options: Any) -> None:
        self.name, self.options = name, options
        self.engine = f"faiss-cpu {version('faiss-cpu')}"
        self.built_by = {key: value for key, value in options.items() if key not in _SEARCHED_BY}
        for key, value in options.items():
            least, most, expected = _RANGES.get(key, _AT_LEAST_ONE)
            if key == "storage":
                self.expect(value in STORAGES, key, f"one of {', '.join(STORAGES)}")
            elif not isinstance(value, bool) and not (value is None and key in ("nlist", "d_out")):
                self.expect(value is not None and least <= value <= most, key, expected)

    def load(self) -> None:
        """Import faiss, which loads a BLAS and an OpenMP of its own."""
        import faiss  # noqa: F401

    def refuse(self, k: int) -> None:
        """Refuse more documents than a graph's search keeps in sight."""
        if "efSearch" in self.options and self.options["efSearch"] < k:
            raise HarnessError(
                f"index={self.name} with efSearch={self.options['efSearch']} finds at most so many documents, expected "
                f"{k}: set index.efSearch to at least {k}, or lower depths."
            )

    def build(self, codes: Codes, folder: Path) -> dict[str, Any]:
        """Train on some vectors, add all of them in blocks, and write the file."""
        import faiss  # loads a BLAS and an OpenMP of its own: only when needed

        with _threads(1):
            with self._refusals():
                index: Any = faiss.index_factory(codes.size, self._factory(codes), faiss.METRIC_INNER_PRODUCT)
            if "efConstruction" in self.options:
                index.hnsw.efConstruction = self.options["efConstruction"]
            training = 0 if index.is_trained else min(len(codes.rows), MOST_TRAINING)
            if training:
                _accept_few(index)
                learned = codes.some(codes.rows[np.linspace(0, len(codes.rows) - 1, training).astype(np.int64)])
                with self._refusals():
                    index.train(learned)
            for vectors in _equal(iter([learned]) if training == len(codes.rows) else codes.documents()):
                with self._refusals():
                    index.add(vectors)
        try:
            faiss.write_index(index, str(folder / FILE))
        except RuntimeError as error:
            raise OSError(None, _reason(error)) from error
        kept = faiss.downcast_index(index.storage) if self.name == "hnsw" else index
        return {"code_bytes": kept.sa_code_size(), "training_vectors": training}

    def open(self, folder: Path) -> Any:
        """The index, with its options of the search."""
        import faiss

        index: Any = faiss.read_index(str(folder / FILE))
        searched: Any = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
        for key in self.options.keys() & {*_SEARCHED_BY}:
            setattr(searched.hnsw if key == "efSearch" else searched, key, self.options[key])
        return index

    def search(self, opened: Any, queries: Float[np.ndarray, "queries size"], k: int, threads: int) -> Ranking:
        """The k best vectors of each query by the index's own scores, ties by row."""
        with _threads(threads):
            scores, rows = opened.search(np.ascontiguousarray(queries), min(k, opened.ntotal))
        scores[rows < 0] = -np.inf
        order = np.lexsort((rows, -scores), axis=1)
        return Ranking(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """A `HarnessError` for what faiss refuses, in lines of C++."""
        try:
            yield
        except RuntimeError as error:
            given = ", ".join(f"index.{key}={value}" for key, value in self.options.items())
            raise HarnessError(
                f"faiss cannot build index={self.name} with {given or 'its defaults'} ({_reason(error)}): change these "
                "options, or take another index."
            ) from error

    def _factory(self, codes: Codes) -> str:
        """The words from which faiss makes the index."""
        options, training = self.options, min(len(codes.rows), MOST_TRAINING)
        storage = STORAGES[options.get("storage", "flat")]
        if self.name == "hnsw":
            return f"HNSW{options['M']},{storage}"
        if self.name == "ivf":
            nlist = options["nlist"] or max(1, round(4 * math.sqrt(len(codes.rows))))
            self._expect_training(training, nlist, "clusters")
            return f"IVF{nlist},{storage}"
        if self.name == "rabitq":
            return f"{'HR,' if options['rotation'] else ''}RaBitQ{options['nb_bits']}"
        if self.name in ("pq", "opq"):
            size = min(options.get("d_out") or codes.size, codes.size)
            dsub, nbits = options["dsub"], options["nbits"]
            self.expect(size % dsub == 0, "dsub", f"a divisor of the {size} numbers of a vector")
            self._expect_training(training, 1 << nbits, "centroids")
            rotated = f"OPQ{size // dsub}_{size}," if self.name == "opq" else ""
            return f"{rotated}PQ{size // dsub}x{nbits}np"  # np: without minutes of annealing that only filters use
        return STORAGES[self.name]

    def _expect_training(self, documents: int, parts: int, what: str) -> None:
        """Refuse fewer training documents than there is to learn, and warn where they are few."""
        option = "index.nlist" if what == "clusters" else "index.nbits"
        if documents < parts:
            raise HarnessError(
                f"index={self.name} learns {parts} {what} from {documents} documents, expected at least as many "
                f"(at most {MOST_TRAINING} are taken): set {option} lower, or take index=sq8."
            )
        if documents < _FEW * parts:
            more = (
                "a larger corpus may lose more" if documents < MOST_TRAINING else f"a lower {option} is learned better"
            )
            line = "index=%s learns %d %s from %d documents, where faiss asks for %d: %s"
            warn_once(log, line, self.name, parts, what, documents, _FEW * parts, more)


def _reason(error: RuntimeError) -> str:
    """The end of faiss's message, which has the reason."""
    return " ".join(str(error).split())[-120:]


def _accept_few(index: Any) -> None:
    """Keep faiss from writing a line for each k-means of few vectors; `FaissIndex` has warned once."""
    import faiss

    if isinstance(index, faiss.IndexPreTransform):
        chain: Any = index.chain
        first: Any = faiss.downcast_VectorTransform(chain.at(0))
        index = faiss.downcast_index(index.index)
        if isinstance(first, faiss.OPQMatrix):
            quantizer: Any = faiss.ProductQuantizer(first.d_out, index.pq.M, index.pq.nbits)
            quantizer.cp.min_points_per_centroid = 1
            quantizer.this.disown()  # the matrix keeps it
            first.pq = quantizer
    clustering = index.pq.cp if hasattr(index, "pq") else getattr(index, "cp", None)
    if clustering is not None:
        clustering.min_points_per_centroid = 1


def _equal(blocks: Iterator[Float[np.ndarray, "block size"]]) -> Iterator[Float[np.ndarray, "added size"]]:
    """The same vectors, `_ADDED` at a time: a graph depends on which are added together."""
    waiting: list[Float[np.ndarray, "block size"]] = []
    for block in blocks:
        waiting.append(block)
        while sum(map(len, waiting)) >= _ADDED:
            vectors = np.concatenate(waiting)
            yield vectors[:_ADDED]
            waiting = [vectors[_ADDED:]]
    if sum(map(len, waiting)):
        yield np.concatenate(waiting)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set the number of threads that faiss uses in this thread, for a while."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
