"""TokenStore: the token vectors of many texts as one memory map of float16 plus lengths.

A store is a folder:

    tokens.f16      float16, little endian, shape [tokens, dim]: the texts' tokens one after the other
    lengths.i32     int32, shape [items]: tokens of each text, in row order
    meta.json       written last: the store is complete if and only if this file is there

`harness.vectors.build` writes it. Opening checks sizes and every chunk's CRC-32, so that neither a half-written nor a
damaged store is believed.
"""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.system.errors import HarnessError
from harness.system.files import unsealed

FORMAT = 1
TOKENS, LENGTHS, META = "tokens.f16", "lengths.i32", "meta.json"
ENTRIES = ("format", "identity", "dim", "items", "tokens", "seconds", "chunks")
"""Of meta.json, beside its checksum."""


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a store, as float32."""

    start: int
    tokens: np.ndarray  # float32 [tokens, dim]
    lengths: np.ndarray  # int64 [rows]

    @property
    def stop(self) -> int:
        """One past the last row."""
        return self.start + len(self.lengths)

    @property
    def offsets(self) -> np.ndarray:
        """int64 [rows + 1]; row ``start + i`` is ``tokens[offsets[i]:offsets[i + 1]]``."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])


class TokenStore:
    """Immutable ragged token vectors on disk.

    Blocks are read, not mapped, so that the memory they take is theirs alone and given back.

    Attributes
    ----------
    flat : float16 memory map [tokens, dim], for whom it must be all at once (PLAID)
    offsets : int64 [items + 1]; row i is ``flat[offsets[i]:offsets[i + 1]]``
    meta : what ``meta.json`` holds (``dim``, ``items``, ``tokens``, ``seconds``, ``identity``, ``chunks``)
    """

    def __init__(self, path: Path, meta: dict[str, Any], lengths: np.ndarray) -> None:
        self.path, self.meta = path, meta
        self.offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._transform: Callable[[np.ndarray], np.ndarray] | None = None
        self._parts: Sequence[TokenStore] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def dim(self) -> int:
        """Dimension of a token vector."""
        return int(self.meta["dim"])

    @property
    def lengths(self) -> np.ndarray:
        """int64 [items]: tokens of each row."""
        return np.diff(self.offsets)

    @property
    def parts(self) -> Sequence[TokenStore]:
        """What it is `stacked` of; itself, if it is not."""
        return self._parts or [self]

    @property
    def nbytes(self) -> int:
        """Bytes of the token vectors on disk."""
        return int(self.offsets[-1]) * self.dim * 2

    @cached_property
    def flat(self) -> np.ndarray:
        """float16 [tokens, dim], mapped into memory when first asked for."""
        if self.offsets[-1] == 0:  # an empty file cannot be mapped
            return np.empty((0, self.dim), dtype="<f2")
        # Copy on write, which nobody does: torch has no read-only tensors and warns of them.
        return np.memmap(self.path / TOKENS, dtype="<f2", mode="c", shape=(int(self.offsets[-1]), self.dim))

    def __getitem__(self, row: int) -> np.ndarray:
        """float32 [tokens, dim]: one row, transformed."""
        return self.rows(row, row + 1).tokens

    def rows(self, start: int, stop: int) -> Block:
        """Consecutive rows, transformed."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        # torch widens float16 ten times as fast as numpy does.
        tokens = torch.from_numpy(self._read(first, last)).to(torch.float32, copy=True).numpy()
        if self._transform is not None:
            tokens = self._transform(tokens)
        return Block(start, tokens, np.diff(self.offsets[start : stop + 1]))

    def _read(self, first: int, last: int) -> np.ndarray:
        """[last - first, dim]: some consecutive tokens as they are stored."""
        return read_tokens(self.path, first, last, self.dim)

    def map(self, transform: Callable[[np.ndarray], np.ndarray] | None) -> TokenStore:
        """A view whose rows pass through `transform` (float32 [t, dim] to the same; it may overwrite) when read."""
        if self._transform is not None:
            raise ValueError("a transformed view cannot be transformed again")
        view = copy.copy(self)
        view._transform, view._parts = transform, None
        return view

    def blocks(self, token_bytes: int, row_bytes: int, budget: int, tile: int = 1) -> Iterator[Block]:
        """All rows in order, in blocks that cost at most `budget` bytes (a dearer single row is a block of its own).

        A block costs `token_bytes` for each of its tokens and `row_bytes` for each of its rows. Where the budget
        allows, it begins and ends at a multiple of `tile` rows, so that what is computed tile by tile does not depend
        on the budget, down to the last bit.
        """
        cost = self.offsets * token_bytes + np.arange(len(self) + 1) * row_bytes
        start = 0
        while start < len(self):
            fits = int(np.searchsorted(cost, cost[start] + budget, side="right")) - 1
            stop = max(start + 1, fits)
            if stop < len(self) and stop // tile * tile > start:
                stop = stop // tile * tile
            yield self.rows(start, stop)
            start = stop


def is_complete(path: Path) -> bool:
    """Whether the store in a folder was finished."""
    return (path / META).exists()


def open_store(path: Path) -> TokenStore:
    """Open a complete store after checking all of it.

    Raises
    ------
    HarnessError
        If the store is incomplete or damaged, with the folder to delete.
    """
    remedy = f"delete the folder {path} and run again"
    try:
        meta = unsealed(json.loads((path / META).read_text()), ENTRIES)
        if meta["format"] != FORMAT:
            raise HarnessError(f"the token store {path} has format {meta['format']}, expected {FORMAT}: {remedy}.")
        sizes = {TOKENS: meta["tokens"] * meta["dim"] * 2, LENGTHS: meta["items"] * 4}
        for name, expected in sizes.items():
            found = (path / name).stat().st_size
            if found != expected:
                raise HarnessError(
                    f"the token store is damaged: {path / name} has {found} bytes, expected {expected}: {remedy}."
                )
        lengths = np.fromfile(path / LENGTHS, dtype="<i4")
        chunks = [(c["start"], c["stop"], c["tokens"], c["crc32"]) for c in meta["chunks"]]
    except FileNotFoundError as error:
        raise HarnessError(f"the token store {path} is incomplete ({error.filename} is missing): {remedy}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise HarnessError(f"the token store is damaged: {path / META} cannot be read ({error}): {remedy}.") from error
    first = 0
    for start, stop, tokens, expected in chunks:
        if crc(read_tokens(path, first, first + tokens, meta["dim"]), lengths[start:stop]) != expected:
            raise HarnessError(
                f"the token store is damaged: rows {start} to {stop - 1} of {path} fail their checksum: {remedy}."
            )
        first += tokens
    if first != meta["tokens"] or int(lengths.sum(dtype=np.int64)) != meta["tokens"]:
        raise HarnessError(f"the token store {path} is damaged: its lengths do not add up to its tokens: {remedy}.")
    return TokenStore(path, meta, lengths.astype(np.int64))


def crc(tokens: np.ndarray, lengths: np.ndarray) -> int:
    """CRC-32 of some rows' tokens (float16) and lengths."""
    return zlib.crc32(np.ascontiguousarray(lengths, dtype="<i4").data, zlib.crc32(np.ascontiguousarray(tokens).data))


def read_tokens(path: Path, first: int, last: int, dim: int) -> np.ndarray:
    """float16 [last - first, dim]: some tokens of the store in a folder."""
    read = np.fromfile(path / TOKENS, dtype="<f2", count=(last - first) * dim, offset=first * dim * 2)
    return read.reshape(last - first, dim)


class StoreInMemory(TokenStore):
    """Some texts' token vectors [tokens, dim] that are on no disk (the queries of several centerings, for instance)."""

    def __init__(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        super().__init__(Path(), {"dim": tokens.shape[1]}, lengths)
        self._tokens = tokens

    def _read(self, first: int, last: int) -> np.ndarray:
        return self._tokens[first:last]


def stacked(stores: Sequence[TokenStore]) -> TokenStore:
    """The rows of all stores, one store after the other, as they are read from them.

    Whose numbers depend on what is computed together, in the last bits, goes by its `parts`.
    """
    if len(stores) == 1:
        return stores[0]
    blocks = [store.rows(0, len(store)) for store in stores]
    found = StoreInMemory(np.concatenate([b.tokens for b in blocks]), np.concatenate([b.lengths for b in blocks]))
    found._parts = stores
    return found
