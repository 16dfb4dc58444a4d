"""An index: what keeps the codes of all documents and finds a query's best, by inner product.

    build(codes, folder) -> facts                 train, add in blocks, write to a folder
    open(folder) -> opened                        read the files of that folder
    search(opened, queries, k, threads) -> Ranking

An index describes itself, as a method does. An entry of conf/index has the options of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from harness.ranking.ranks import Ranking
from harness.system.errors import HarnessError
from harness.vectors.store import StoreInMemory, TokenVectors

VECTORS, SPARSE = "dense vectors", "sparse codes"


def _nothing(rows: Int[np.ndarray, " some"]) -> Any:
    raise NotImplementedError("no index learns from these codes")


@dataclass(frozen=True)
class Codes:
    """What an index is made from and asked with.

    Attributes
    ----------
    size : numbers of a code
    rows : the documents that can be found, ascending
    documents : the codes of these documents, in blocks, in order: float32 [block, size], or
        `harness.methods.smve_codes.SparseCodes`
    queries : the queries' codes, in parts that are searched separately
    some : the codes of some documents, given their rows, as one block, for an index that learns; not of sparse codes
    """

    size: int
    rows: Int[np.ndarray, " found"]
    documents: Callable[[], Iterator[Any]]
    queries: Callable[[], Sequence[Any]]
    some: Callable[[Int[np.ndarray, " some"]], Any] = _nothing

    @classmethod
    def of_tokens(
        cls,
        size: int,
        docs: TokenVectors,
        encode: Callable[[TokenVectors], Iterator[Float[np.ndarray, "block size"]]],
        queries: Callable[[], Sequence[Any]],
    ) -> Codes:
        """Dense vectors of documents with token vectors; one without any is never found.

        Parameters
        ----------
        encode
            The codes of some documents, in blocks.
        """
        rows = np.flatnonzero(docs.lengths)

        def documents() -> Iterator[Float[np.ndarray, "block size"]]:
            first = 0
            for block in encode(docs):
                yield np.ascontiguousarray(block[docs.lengths[first : first + len(block)] > 0])
                first += len(block)

        def some(chosen: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some size"]:
            tokens = np.concatenate([docs[int(row)] for row in chosen])
            return np.concatenate([*encode(StoreInMemory(tokens, docs.lengths[chosen]))])

        return cls(size, rows, documents, queries, some)


class Index(ABC):
    """An index, described by the options of an entry of conf/index.

    Attributes
    ----------
    name : the entry
    options : the options of the entry, as the library calls them
    takes : the kind of codes that it takes: `VECTORS` or `SPARSE`
    built_by : what its files depend on, beside the codes; options of the search alone are not among them
    engine : the library that makes it, and its version
    """

    takes: ClassVar[str]
    name: str
    options: dict[str, Any]
    built_by: dict[str, Any]
    engine: str

    @abstractmethod
    def build(self, codes: Codes, folder: Path) -> dict[str, Any]:
        """Write the index to an empty folder, and return facts worth a line in the record."""

    @abstractmethod
    def open(self, folder: Path) -> Any:
        """Read the index into memory."""

    @abstractmethod
    def search(self, opened: Any, queries: Any, k: int, threads: int) -> Ranking:
        """The k best codes of each query, as positions in the index; fewer where it finds fewer."""

    def load(self) -> None:
        """Import the library, before anything is timed."""
        return

    def refuse(self, k: int) -> None:
        """Refuse a number of documents that a search with these options cannot return, with a `HarnessError`."""
        return

    def expect(self, right: bool, option: str, expected: str) -> None:
        """Refuse the value of an option, with a `HarnessError`, unless it is right."""
        if not right:
            raise HarnessError(f"index.{option}={self.options[option]} of index={self.name}: expected {expected}.")
