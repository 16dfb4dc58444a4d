"""A method whose codes are kept in an index and searched there (`harness.indexes`): its option ``index``.

The index is kept in the cache, under a name made of all that its codes and its files depend on. It is built under a
lock, and is complete if and only if its marker, written last, has the size and CRC-32 of each file. What is searched is
always what was read from there. Beside it the method searches exactly, for the index's recall; no time of a record
includes that, and what it finds is kept for other indexes and other options of the search.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.indexes.index import Codes, Index
from harness.methods.method import TEXTS, Method, SearchResult
from harness.ranking.ranks import Ranking, recall
from harness.ranking.resources import Resources
from harness.system import folders, locks
from harness.system.errors import HarnessError
from harness.system.files import digest, read_arrays, write_arrays
from harness.system.progress import Stopwatch, bar
from harness.vectors.store import TokenVectors

FOLDER, EXACT = "indexes", "exact"
RECALLED = (10, 100, 1000)
"""Depths at which a record has the recall of the exact search's first documents."""
_FACTS = ("seconds", "details")


class Indexed(Method):
    """A method and its index.

    Raises
    ------
    HarnessError
        If the method has no codes of the kind that the index takes.
    """

    def __init__(self, name: str, method: Method, index: Index) -> None:
        if method.gives != index.takes:
            has = f"has {method.gives}" if method.gives else "has no codes that an index could keep"
            raise HarnessError(
                f"index={index.name} takes {index.takes}, and method={name} {has}: leave index={index.name} out."
            )
        self.name, self.method, self.index = name, method, index
        self.title, self.reads, self.learn = method.title, method.reads, method.learn

    def taught(self, queries: TokenVectors) -> Method:
        """The method with queries to learn from, in the same index."""
        return Indexed(self.name, self.method.taught(queries), self.index)

    def inputs(self, models_dir: str | None) -> dict[str, Any]:
        """What the method's codes depend on."""
        return self.method.inputs(models_dir)

    def warm_up(self, dim: int, resources: Resources) -> None:
        """Load what makes the codes, and the index's library."""
        self.method.warm_up(dim, resources)
        self.index.load()

    def refuse(self, k: int) -> None:
        """Refuse a number of documents that the index cannot return."""
        self.index.refuse(k)

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by the index."""
        return self._search(docs, queries, k, resources)

    def search_texts(self, docs: Sequence[str], queries: Sequence[str], k: int, resources: Resources) -> SearchResult:
        """The same for a method that reads texts."""
        return self._search(docs, queries, k, resources)

    def _search(self, docs: Any, queries: Any, k: int, resources: Resources) -> SearchResult:
        self.refuse(k)
        watch, codes = Stopwatch(resources.device), self.method.codes(docs, queries, resources)
        if not len(codes.rows):
            raise HarnessError(
                f"no document has token vectors, expected at least one that index={self.index.name} can keep: check "
                "the texts."
            )
        named = f"{self.index.name}-{digest([self.index.built_by, self.index.engine])[:16]}"
        folder = resources.cache / FOLDER / f"{resources.documents}-{named}"
        try:
            with locks.held(locks.of(folder)):
                if not (folder / folders.MARKER).exists():
                    self._build(folder, codes, len(docs), resources)
            marker = checked(folder)
            opened = self.index.open(folder)
            exact = self._exact(docs, queries, k, resources)
        except OSError as error:
            raise HarnessError(
                f"cannot write or read the index {folder} ({error.strerror or error}): free some space, or set "
                "cache_dir to a folder that can be written; an unfinished index is never used."
            ) from error
        with watch.phase("encode_queries"):
            parts = codes.queries()
        with watch.phase("search"):
            found = [self.index.search(opened, part, k, torch.get_num_threads()) for part in parts]
        rows = np.concatenate([part.rows for part in found])
        ranking = Ranking(np.where(rows < 0, -1, codes.rows[rows]), np.concatenate([part.scores for part in found]))
        recalls = [
            {str(depth): recall(of_part, wanted, depth) for depth in RECALLED if depth <= ranking.rows.shape[1]}
            for of_part, wanted in zip(ranking.split(len(parts)), exact.split(len(parts)), strict=True)
        ]
        seconds = {"encode_documents": marker["seconds"], **watch.seconds}
        details = {**marker["details"], "engine": self.index.engine}
        own = [{"index_recall": recall_of_part} for recall_of_part in recalls]
        return SearchResult(ranking, seconds, folders.size(marker), details, own)

    def _exact(self, docs: Any, queries: Any, k: int, resources: Resources) -> Ranking:
        """What the method finds without an index."""
        named = digest([k, _fingerprint(queries)])[:16]
        path = resources.cache / FOLDER / f"{resources.documents}-{EXACT}-{named}.npz"
        with locks.held(locks.of(path)):
            if not path.exists():
                search = self.method.search_texts if self.reads == TEXTS else self.method.search
                found = search(docs, queries, k, resources).ranking
                write_arrays(path, rows=found.rows, scores=found.scores)
        kept = read_arrays(path)
        return Ranking(kept["rows"], kept["scores"])

    def _build(self, folder: Path, codes: Codes, documents: int, resources: Resources) -> None:
        watch = Stopwatch()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        title = f"{self.name}'s index {self.index.name} of {documents} documents"
        with watch.phase("build"), bar(title, 1, resources.show, device=resources.device):
            details = self.index.build(codes, folder)
        facts = {"seconds": watch.seconds["build"], "details": details}
        folders.complete(folder, facts, sorted(path for path in folder.iterdir() if path.is_file()))


def _fingerprint(queries: Any) -> str:
    """sha256 of the queries' texts or token vectors."""
    if not isinstance(queries, TokenVectors):
        return digest(queries)
    tokens = sha256(queries.rows(0, len(queries)).tokens.tobytes())
    return digest([tokens.hexdigest(), queries.lengths.tolist()])


def checked(folder: Path) -> dict[str, Any]:
    """The marker of a complete and undamaged index.

    Raises
    ------
    HarnessError
        If a file of it is damaged, with the folder to delete.
    """
    return folders.checked(folder, "the index", _FACTS)
