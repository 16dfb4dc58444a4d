"""Token vectors of many texts: `TokenVectors`, on disk (`TokenStore`) or in memory (`StoreInMemory`).

A store on disk is a folder:

    tokens.f16      float16, little endian, shape [tokens, dim]: the tokens of the first text, of the second, and so on
    lengths.i32     int32, shape [items]: number of tokens of each text, in row order
    meta.json       written last: the store is complete if and only if this file exists

`harness.vectors.build` writes it. Opening a store checks sizes and the CRC-32 of every chunk: a half-written or damaged
store is never used.
"""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.system.errors import HarnessError
from harness.system.files import read_bytes, unsealed

FORMAT = 1
TOKENS, LENGTHS, META = "tokens.f16", "lengths.i32", "meta.json"
ENTRIES = ("format", "identity", "dim", "items", "tokens", "seconds", "chunks")  # of meta.json


@dataclass(frozen=True)
class Block:
    """Consecutive rows, as float32."""

    start: int
    tokens: np.ndarray  # float32 [tokens, dim]
    lengths: np.ndarray  # int64 [rows]

    @property
    def stop(self) -> int:
        """Row after the last one."""
        return self.start + len(self.lengths)

    @property
    def offsets(self) -> np.ndarray:
        """int64 [rows + 1]; row ``start + i`` is ``tokens[offsets[i]:offsets[i + 1]]``."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])


class TokenVectors(ABC):
    """Immutable token vectors of texts; a row is one text.

    Attributes
    ----------
    dim : dimension of a token vector
    offsets : int64 [rows + 1]; the tokens of row i have the numbers ``offsets[i]`` to ``offsets[i + 1] - 1``
    """

    def __init__(self, dim: int, lengths: np.ndarray) -> None:
        self.dim = dim
        self.offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    @abstractmethod
    def _read(self, first: int, last: int) -> np.ndarray:
        """float32 [last - first, dim]: a copy of consecutive tokens."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: number of tokens of each row."""
        return np.diff(self.offsets)

    @property
    def parts(self) -> Sequence[TokenVectors]:
        """The token vectors that were `stacked`, or just these."""
        return [self]

    @property
    def nbytes(self) -> int:
        """Bytes of the token vectors as float16."""
        return int(self.offsets[-1]) * self.dim * 2

    def __getitem__(self, row: int) -> np.ndarray:
        """float32 [tokens, dim]: one row."""
        return self.rows(row, row + 1).tokens

    def rows(self, start: int, stop: int) -> Block:
        """Rows start to stop - 1, copied: the caller may overwrite them."""
        tokens = self._read(int(self.offsets[start]), int(self.offsets[stop]))
        return Block(start, tokens, np.diff(self.offsets[start : stop + 1]))

    def map(self, transform: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> TokenVectors:
        """A view that passes rows through `transform` when they are read.

        `transform` gets float32 [tokens, dim] and the number of tokens of each row. It may overwrite what it gets.
        """
        return _Transformed(self, transform)

    def blocks(self, token_bytes: int, row_bytes: int, budget: int, tile: int = 1) -> Iterator[Block]:
        """All rows in order, in blocks that cost at most `budget` bytes; a row that costs more is a block of its own.

        A block costs `token_bytes` per token and `row_bytes` per row. Where the budget allows, it begins and ends at a
        multiple of `tile` rows, so that results computed tile by tile are the same for every budget, to the last bit.
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


class TokenStore(TokenVectors):
    """Token vectors in a folder, as float16.

    Blocks are read, not mapped into memory: their memory is freed with them.

    Attributes
    ----------
    meta : content of ``meta.json`` (``dim``, ``items``, ``tokens``, ``seconds``, ``identity``, ``chunks``)
    flat : float16 memory map [tokens, dim], for callers that need the whole matrix (PLAID)
    """

    def __init__(self, path: Path, meta: dict[str, Any], lengths: np.ndarray) -> None:
        super().__init__(int(meta["dim"]), lengths)
        self.path, self.meta = path, meta

    def _read(self, first: int, last: int) -> np.ndarray:
        return _float32(read_tokens(self.path, first, last, self.dim))

    @cached_property
    def flat(self) -> np.ndarray:
        """float16 [tokens, dim], mapped into memory when it is first used."""
        if self.offsets[-1] == 0:  # an empty file cannot be mapped
            return np.empty((0, self.dim), dtype="<f2")
        # Copy on write, although nothing writes: torch has no read-only tensors and warns about such arrays.
        return np.memmap(self.path / TOKENS, dtype="<f2", mode="c", shape=(int(self.offsets[-1]), self.dim))


class StoreInMemory(TokenVectors):
    """Token vectors in one array.

    Parameters
    ----------
    tokens : [tokens, dim], all texts one after the other
    lengths : [rows], number of tokens of each text
    parts : the token vectors that were copied, if these are `stacked`
    """

    def __init__(self, tokens: np.ndarray, lengths: np.ndarray, parts: Sequence[TokenVectors] = ()) -> None:
        super().__init__(tokens.shape[1], lengths)
        self._tokens, self._parts = tokens, parts

    @property
    def parts(self) -> Sequence[TokenVectors]:
        """As `TokenVectors.parts`."""
        return self._parts or [self]

    def _read(self, first: int, last: int) -> np.ndarray:
        return _float32(self._tokens[first:last])


class _Transformed(TokenVectors):
    """A view of other token vectors (`TokenVectors.map`)."""

    def __init__(self, source: TokenVectors, transform: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        super().__init__(source.dim, source.lengths)
        self._source, self._transform = source, transform

    def _read(self, first: int, last: int) -> np.ndarray:
        rows = slice(np.searchsorted(self.offsets, first), np.searchsorted(self.offsets, last, "right"))
        return self._transform(self._source._read(first, last), np.diff(self.offsets[rows]))


def stacked(sources: Sequence[TokenVectors]) -> TokenVectors:
    """All rows of the first, then all of the second, and so on, copied into memory.

    Code whose last bits depend on what is computed together must go through the `parts` one by one.
    """
    if len(sources) == 1:
        return sources[0]
    blocks = [source.rows(0, len(source)) for source in sources]
    tokens, lengths = np.concatenate([b.tokens for b in blocks]), np.concatenate([b.lengths for b in blocks])
    return StoreInMemory(tokens, lengths, sources)


def is_complete(path: Path) -> bool:
    """Whether the store in a folder is complete."""
    return (path / META).exists()


def open_store(path: Path) -> TokenStore:
    """Open a complete store, after checking all of it.

    Raises
    ------
    HarnessError
        If it is incomplete or damaged, with the folder to delete.
    """
    remedy = f"delete the folder {path} and run again"
    try:
        meta = unsealed(json.loads(read_bytes(path / META)), ENTRIES)
        if meta["format"] != FORMAT:
            raise HarnessError(f"the token store {path} has format {meta['format']}, expected {FORMAT}: {remedy}.")
        sizes = {TOKENS: meta["tokens"] * meta["dim"] * 2, LENGTHS: meta["items"] * 4}
        for name, expected in sizes.items():
            if (found := (path / name).stat().st_size) != expected:
                raise HarnessError(
                    f"the token store is damaged: {path / name} has {found} bytes, expected {expected}: {remedy}."
                )
        lengths = np.fromfile(path / LENGTHS, dtype="<i4")
        chunks = [(c["start"], c["stop"], c["tokens"], c["crc32"]) for c in meta["chunks"]]
    except FileNotFoundError as error:
        raise HarnessError(f"the token store {path} is incomplete ({error.filename} is missing): {remedy}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise HarnessError(f"the token store is damaged: {path / META} cannot be read ({error}): {remedy}.") from error
    first = 0  # number of the chunk's first token
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
    """CRC-32 of the tokens (float16) and lengths of rows."""
    return zlib.crc32(np.ascontiguousarray(lengths, dtype="<i4").data, zlib.crc32(np.ascontiguousarray(tokens).data))


def _float32(tokens: np.ndarray) -> np.ndarray:
    # torch converts float16 ten times as fast as numpy does.
    return torch.from_numpy(tokens).to(torch.float32, copy=True).numpy()


def read_tokens(path: Path, first: int, last: int, dim: int) -> np.ndarray:
    """float16 [last - first, dim]: consecutive tokens of the store in a folder."""
    read = np.fromfile(path / TOKENS, dtype="<f2", count=(last - first) * dim, offset=first * dim * 2)
    return read.reshape(last - first, dim)
