"""Given token vectors: those that a user made with any model, beside a data set, in the place of a model.

    FOLDER/documents/    tokens.npy, lengths.npy, ids.json (`harness.vectors.arrays`): every document, and no other
    FOLDER/queries/      the same, with masks if the model expands queries: every evaluated query, and perhaps others

They become stores in the cache, in the order of the data set, chunk by chunk, as float16: from there on nothing tells
them from vectors that were encoded here. The queries of which mu_Q is the mean are looked up by id among the others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.config.shards import CHUNK, WHOLE, Shard
from harness.data.dataset import Dataset
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.messages import warn_once
from harness.system.progress import bar
from harness.vectors.arrays import EXPANSION, SPECIAL, TokenArrays
from harness.vectors.build import Encode, build_store, fill
from harness.vectors.doubtful import norms
from harness.vectors.query_tokens import REAL, only
from harness.vectors.source import TokenSource
from harness.vectors.store import TokenStore, TokenVectors, is_complete

log = logging.getLogger(__name__)
DOCUMENTS, QUERIES = "documents", "queries"
_SMALLEST, _LARGEST = 1e-2, 1e3
"""Lengths of vectors between which float16 keeps three digits of their numbers."""


@dataclass(frozen=True, eq=False)
class GivenVectors(TokenSource):
    """Token vectors of one data set, given by a user.

    Attributes
    ----------
    name : the model's, for names of stores
    cache : folder of the cache
    show : whether progress is shown
    """

    encodes = False
    remark = "token vectors were given, not encoded by the harness"

    name: str
    documents: TokenArrays
    queries: TokenArrays
    cache: Path
    show: bool = False

    @classmethod
    def open(cls, folder: Path, name: str, cache: Path, show: bool = False) -> GivenVectors:
        """Those of a folder, whose files are checked as far as that goes without reading all token vectors.

        Raises
        ------
        HarnessError
            If a file is missing, or does not fit the others.
        """
        if not folder.is_dir():
            raise HarnessError(f"vectors={folder} is no folder, expected one with {DOCUMENTS}/ and {QUERIES}/ in it.")
        return cls(name, TokenArrays.open(folder / DOCUMENTS), TokenArrays.open(folder / QUERIES), cache, show)

    def __post_init__(self) -> None:
        if self.documents.dim != self.queries.dim:
            raise HarnessError(
                f"{self.documents.label} has token vectors of dimension {self.documents.dim}, {self.queries.label} of "
                f"{self.queries.dim}: both sides must come from one model."
            )

    @property
    def inputs(self) -> dict[str, str]:
        """The hash of both sides."""
        return {"vectors": digest([self.documents.sha256, self.queries.sha256])}

    def refuse(self, dataset: Dataset) -> None:
        """Refuse a data set with other documents, or with evaluated queries that were not given.

        Raises
        ------
        HarnessError
            With how many ids differ, and one of them.
        """
        sides = ((self.documents, dataset.docs, "documents"), (self.queries, dataset.queries, "evaluated queries"))
        for given, wanted, what in sides:
            if lacking := [name for name in wanted if name not in given.row_of]:
                raise HarnessError(
                    f"{given.label} lacks {len(lacking)} of the {len(wanted)} {what} of {dataset.name}, such as "
                    f"'{lacking[0]}': is it another data set's? Give the token vectors of all of them."
                )
        if strange := [name for name in self.documents.ids if name not in dataset.docs]:
            raise HarnessError(
                f"{self.documents.label} has {len(strange)} documents that {dataset.name} has not, such as "
                f"'{strange[0]}': is it another data set's? Give the token vectors of its documents alone."
            )
        lengths, row_of = self.queries.lengths, self.queries.row_of
        empty = next((name for name in dataset.queries if not lengths[row_of[name]]), None)
        if empty is not None:
            raise HarnessError(
                f"{self.queries.label} has no token vectors of the query '{empty}', expected at least one: encode it, "
                "or remove the query from the data set."
            )

    def has(self, texts: Mapping[str, str]) -> bool:
        """Whether all these queries were given."""
        return all(name in self.queries.row_of for name in texts)

    def encode(self, texts: Mapping[str, str], name: str, is_query: bool, shard: Shard = WHOLE) -> TokenStore:
        """The store of some of the given token vectors, by their ids; read chunk by chunk if it is not there yet.

        Raises
        ------
        HarnessError
            If queries that are not evaluated, and that a centering or method needs, were not given.
        """
        if is_query and (lacking := [one for one in texts if one not in self.queries.row_of]):
            raise HarnessError(
                f"{self.queries.label} lacks {len(lacking)} of the {len(texts)} queries, such as '{lacking[0]}', whose "
                "mean or tokens this centering or method needs: add their token vectors under these ids, or choose "
                "center=corpus, text or none (of a method, learn=documents)."
            )
        side, rows = QUERIES if is_query else DOCUMENTS, shard.rows(len(texts))
        with bar(f"read {name} {side}", len(rows), self.show, side) as progress:
            return build_store(*self._store_spec(list(texts), name, is_query, shard, progress.update))

    def part_of(self, store: TokenVectors, texts: Mapping[str, str], part: str) -> TokenVectors:
        """Token vectors of a part of each query, by the masks that were given.

        Raises
        ------
        HarnessError
            If words are asked for and nothing says which tokens are special; or a query has none but expansion tokens.
        """
        masks = self.queries.masks
        if part != REAL and SPECIAL not in masks:
            raise HarnessError(
                f"query_tokens={part} needs {self.queries.label}/{SPECIAL}.npy, which says which tokens are no words: "
                "write it, or choose query_tokens=real."
            )
        if part == REAL and EXPANSION not in masks:
            where = self.queries.label
            warn_once(log, "%s has no %s.npy: query_tokens=real is the same as query_tokens=all", where, EXPANSION)
            return store
        return only(store, [self._seen(name, part) for name in texts])

    def _seen(self, name: str, part: str) -> np.ndarray:
        """Which tokens of a query belong to a part; of a query without words, its real tokens."""
        real = ~self.queries.mask(name, EXPANSION)
        if not real.any():
            raise HarnessError(
                f"{self.queries.label}/{EXPANSION}.npy says that the query '{name}' has nothing but expansion tokens, "
                "expected a real one: correct it."
            )
        words = real & ~self.queries.mask(name, SPECIAL)
        return words if part != REAL and words.any() else real

    def is_encoded(self, texts: Mapping[str, str], name: str) -> bool:
        """Whether the documents' store is complete."""
        return is_complete(self._store_spec(list(texts), name, False, WHOLE)[0])

    def help_encode(self, texts: Mapping[str, str], name: str) -> None:
        """Read chunks of documents that no other process is reading, until none is left."""
        fill(*self._store_spec(list(texts), name, False, WHOLE))

    def notes_on(self, docs: TokenStore, queries: TokenStore, dataset: Dataset) -> list[str]:
        """Token vectors that are not of unit length."""
        return [*norms(docs, DOCUMENTS), *norms(queries, QUERIES)]

    def _store_spec(
        self, ids: Sequence[str], name: str, is_query: bool, shard: Shard, tick: Any = lambda _: None
    ) -> tuple[Path, list[str], Encode, dict[str, Any], int]:
        """The arguments of `harness.vectors.build.build_store`."""
        given, side = (self.queries, QUERIES) if is_query else (self.documents, DOCUMENTS)
        rows = shard.rows(len(ids))
        wanted = [*ids[rows.start : rows.stop]]
        identity = {"side": side, "vectors": given.sha256, "ids": digest([*ids])}
        folder = f"{self.name}-{name}-{side}-{digest(identity)[:16]}{shard.suffix}"
        if not shard.is_full:
            identity["shard"] = shard.name

        def read_rows(start: int, stop: int) -> list[np.ndarray]:
            found = [given.text(one) for one in wanted[start:stop]]
            _refuse_lengths(found, given.label)
            tick(stop - start)
            return found

        return self.cache / "tokens" / folder, wanted, read_rows, identity, CHUNK


def _refuse_lengths(texts: Sequence[np.ndarray], label: str) -> None:
    """Refuse vectors that float16 cannot hold with three digits: mostly too short, or too long; zeros are noted."""
    lengths = np.concatenate([np.linalg.norm(tokens, axis=1) for tokens in texts])
    middle = float(np.median(lengths[lengths > 0])) if lengths.any() else 1.0
    if not _SMALLEST <= middle <= _LARGEST:
        raise HarnessError(
            f"{label} has token vectors of length {middle:.2g}, expected {_SMALLEST} to {_LARGEST:.0f}, which float16 "
            "can hold: scale all by one factor, which changes no ranking."
        )
