"""PLAID (Santhanam et al., CIKM 2022, arXiv 2205.09707) by fast-plaid, called directly.

What this file adds to `FastPlaid`, and why:

- the index is kept in the cache under a name made of everything that changes it, and is complete if and only if its
  marker, written last, is there and every file has the size and CRC-32 that the marker says;
- torch's global random state is seeded before the build and put back after it (fast-plaid 1.4 draws from it although it
  takes a seed; all versions seed it as a side effect), so that two builds give the same results;
- queries are searched in groups of one length: 1.4 pads a group with zero vectors, which probe cells of their own, so
  that a query's result would depend on its batch;
- on a CPU other kernels compute with its float16 matrices (half_kernels.py), and distances of its k-means come in
  smaller pieces: both are faster;
- at most ``n_full_scores / 4`` documents come back, however many are asked for: checked before searching;
- the Rust side panics with a `BaseException`: turned into a sentence.

PLAID keeps no norms (centroids and decompressed vectors are normalized), so it sees the model's own unit vectors.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from harness.methods import half_kernels
from harness.methods.method import Method, SearchResult
from harness.ranking.ranks import Ranking
from harness.ranking.resources import Resources
from harness.system import folders, locks
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.folders import MARKER
from harness.system.messages import warn_once
from harness.system.progress import Stopwatch, bar
from harness.system.threads import torch_threads
from harness.vectors.store import TokenStore, TokenVectors

log = logging.getLogger(__name__)
_QUERIES = 16  # searched in one call: often enough for the progress bar
# On a CPU, what is read and written at once stays in the cache.
_CPU_CHUNK = 32  # documents that are scored at once
_CPU_PIECES = {"chunk_size_data": 2048, "chunk_size_centroids": 2048}  # tokens and centroids that k-means compares
_one = Lock()  # its k-means is replaced once at a time


@contextmanager
def _small_pieces(device: torch.device) -> Iterator[None]:
    """Inside, fast-plaid's k-means on a CPU compares fewer tokens and centroids at once, with the same results.

    `FastKMeans` has options for it, which fast-plaid does not pass on: its pieces have 51,200 x 10,240 distances, 2 GB.
    """
    if device.type != "cpu":
        yield
        return
    from fast_plaid.search import fast_plaid

    with _one:
        own = fast_plaid.FastKMeans
        fast_plaid.FastKMeans = partial(own, **_CPU_PIECES)
        try:
            yield
        finally:
            fast_plaid.FastKMeans = own


class Plaid(Method):
    """fast-plaid, seeded and checked."""

    title = "PLAID"
    order = 0
    end_to_end = True
    shardable = False  # its centroids are those of the whole corpus
    sublinear = True  # it probes a few cells of an index
    kernels: Callable[[torch.device], AbstractContextManager[None]] = staticmethod(half_kernels.replaced)
    pieces: Callable[[torch.device], AbstractContextManager[None]] = staticmethod(_small_pieces)
    finds_nothing = (
        "documents with the same vectors can fill all cells that it probes: remove duplicate or empty documents, set "
        "method.n_ivf_probe higher, or compare with method=exact (reference=null leaves PLAID out)"
    )

    def __init__(self, nbits: int, kmeans_niters: int, n_ivf_probe: int, n_full_scores: int, seed: int) -> None:
        if nbits not in (1, 2, 4, 8) or min(kmeans_niters, n_ivf_probe) < 1:  # fast-plaid hangs on some of these
            raise HarnessError(
                f"PLAID with nbits={nbits}, kmeans_niters={kmeans_niters}, n_ivf_probe={n_ivf_probe}: expected nbits "
                "among 1, 2, 4, 8 and at least one k-means iteration and probe."
            )
        self.build_options = {"nbits": nbits, "kmeans_niters": kmeans_niters, "seed": seed}
        self.n_ivf_probe, self.n_full_scores = n_ivf_probe, n_full_scores

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by PLAID's approximate MaxSim; fewer where it finds fewer."""
        self.refuse(k)
        if not isinstance(docs, TokenStore):
            raise TypeError("PLAID indexes a token store on disk, whose identity names the index")
        watch = Stopwatch()
        indexed = _indexed(docs)
        index = self._path(docs, resources)
        try:
            with locks.held(locks.of(index)):
                if not (index / MARKER).exists():
                    self._build(index, docs, resources)
            marker = checked(index)
        except OSError as error:
            raise HarnessError(
                f"cannot write or read PLAID's index {index} ({error.strerror or error}): free some space, or set "
                "cache_dir to a folder that can be written; an unfinished index is never used."
            ) from error
        with watch.phase("search"), _panics(f"PLAID's search in {index}"):
            plaid = _open(index, resources.device)
            found = self._search(plaid, marker["centroids"], queries, min(k, len(indexed)), resources)
        ranking = Ranking(np.where(found.rows < 0, -1, indexed[found.rows]), found.scores)
        details = {"centroids": marker["centroids"], "n_ivf_probe": min(self.n_ivf_probe, marker["centroids"])}
        seconds = {"encode_documents": marker["seconds"], **watch.seconds}
        return SearchResult(ranking, seconds, folders.size(marker), details)

    def refuse(self, k: int) -> None:
        """Refuse more documents than fast-plaid returns: at most a quarter of those that it scores."""
        if self.n_full_scores < 4 * k:
            raise HarnessError(
                f"PLAID with n_full_scores={self.n_full_scores} returns at most {self.n_full_scores // 4} documents, "
                f"expected {k}: set method.n_full_scores to at least {4 * k}."
            )

    def _path(self, docs: TokenStore, resources: Resources) -> Path:
        """The folder of an index; clusters depend on the device, and on how it multiplies."""
        device = {"device": resources.device.type, "products": half_kernels.kind(resources.device)}
        identity = {
            "tokens": docs.meta["identity"],
            "fast-plaid": version("fast-plaid"),
            **device,
            **self.build_options,
        }
        return resources.cache / "plaid" / f"{docs.path.name}-{digest(identity)[:16]}"

    def _build(self, index: Path, docs: TokenStore, resources: Resources) -> None:
        watch = Stopwatch()
        shutil.rmtree(index, ignore_errors=True)
        # fast-plaid writes through a memory map, where a full disk is SIGBUS, the end of the process. Codes and
        # residuals are there twice while it builds; some more is for lists and centroids.
        needed = 2 * int(docs.offsets[-1]) * (docs.dim * self.build_options["nbits"] // 8 + 16) + (1 << 20)
        if shutil.disk_usage(index.parent).free < needed:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, {needed >> 20} MiB are needed")
        # Views of the memory map: nothing is copied here.
        documents = list(torch.from_numpy(docs.flat).split(docs.lengths[docs.lengths > 0].tolist()))
        text = f"PLAID's build of {len(docs)} documents"
        where = f"{text} in {index}"
        device, seeded = resources.device, _seeded(self.build_options["seed"])
        building = bar(text, 1, resources.show, device=device)
        with watch.phase("build"), building, seeded, self.kernels(device), self.pieces(device), _panics(where):
            _open(index, device).create(
                documents,
                start_from_scratch=0,  # keep no second copy of the vectors
                **({"use_triton_kmeans": False} if device.type == "cuda" else {}),  # a race, pylate PR 155
                **self.build_options,
            )
        centroids = int(json.loads((index / "metadata.json").read_text())["num_partitions"])
        files = [path for path in sorted(index.iterdir()) if path.suffix in (".npy", ".json")]
        folders.complete(index, {"seconds": watch.seconds["build"], "centroids": centroids}, files)

    def _search(self, plaid: Any, centroids: int, queries: TokenVectors, k: int, resources: Resources) -> Ranking:
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        # On a CPU, one query a thread is 1.5 times as fast as all threads on one query; the results are the same.
        threads = torch.get_num_threads() if resources.device.type == "cpu" else 1
        chunk = {"batch_size": _CPU_CHUNK} if resources.device.type == "cpu" else {}
        searching = bar("PLAID's search", len(queries), resources.show, "queries", resources.device)
        with searching as progress, self.kernels(resources.device), torch_threads(1 if threads > 1 else None):
            for group in _groups(queries.lengths):
                found = plaid.search(
                    torch.from_numpy(np.stack([queries[int(query)] for query in group])),
                    top_k=k,
                    n_full_scores=self.n_full_scores,
                    n_ivf_probe=min(self.n_ivf_probe, centroids),  # more than there are is a panic
                    show_progress=False,
                    n_processes=threads,
                    **chunk,
                )
                for query, hits in zip(group, found, strict=True):
                    documents = np.array([hit[0] for hit in hits], dtype=np.int64)
                    values = np.array([hit[1] for hit in hits], dtype=np.float32)
                    order = np.lexsort((documents, -values))  # puts equal scores in our order
                    rows[query, : len(hits)], scores[query, : len(hits)] = documents[order], values[order]
                progress.update(len(group))
        return Ranking(rows, scores)


def _indexed(docs: TokenVectors) -> np.ndarray:
    """The rows of the documents that are indexed: those with token vectors."""
    indexed = np.flatnonzero(docs.lengths)
    if left_out := len(docs) - len(indexed):
        warn_once(log, "%d of %d documents have no token vectors: PLAID leaves them out", left_out, len(docs))
    if not len(indexed):
        raise HarnessError(
            "no document has token vectors, expected at least one that PLAID can index: check the texts."
        )
    return indexed


def _open(index: Path, device: torch.device) -> Any:
    from fast_plaid.search import FastPlaid  # loads a Rust library bound to one torch version: only when needed

    return FastPlaid(str(index), device=str(device))


def _groups(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Query rows of equal length, a few at a time."""
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        yield from np.array_split(rows, -(-len(rows) // _QUERIES))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        state = np.random.get_state()  # noqa: NPY002 (fast-plaid seeds numpy's global state, too)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


@contextmanager
def _panics(what: str) -> Iterator[None]:
    """Rust panics arrive as `PanicException`, a BaseException that ``except Exception`` misses."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, (RuntimeError, ValueError)) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:200]
        raise HarnessError(
            f"{what} failed ({type(error).__name__}: {reason}): a few dozen tokens are too few for it, and "
            "a full disk stops it; else delete the index folder and run again."
        ) from error


def checked(index: Path) -> dict[str, Any]:
    """The marker of a complete and undamaged index.

    Raises
    ------
    HarnessError
        If a file of it is damaged, with the folder to delete.
    """
    return folders.checked(index, "PLAID's index", ("seconds", "centroids"))
