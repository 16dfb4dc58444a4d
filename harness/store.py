"""TokenStore: the token vectors of many texts as one memory map of float16 plus lengths.

A store is a folder:

    tokens.f16      float16, little endian, shape [tokens, dim]: the texts' tokens one after the other
    lengths.i32     int32, shape [items]: tokens of each text, in row order
    journal.jsonl   while building: one line per finished chunk (rows, tokens, CRC-32); gone afterwards
    meta.json       written last: the store is complete if and only if this file is there

Building appends chunk by chunk (the corpus never sits in a Python list) and resumes after the last chunk of the
journal. Opening checks sizes and every chunk's CRC-32, so that neither a half-written nor a damaged store is believed.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from harness.errors import HarnessError
from harness.files import write_json

FORMAT = 1
TOKENS, LENGTHS, JOURNAL, META = "tokens.f16", "lengths.i32", "journal.jsonl", "meta.json"

Encode = Callable[[int, int], Sequence[np.ndarray]]
"""(start, stop) -> the token vectors of rows start..stop-1, each float [tokens, dim]."""


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


class TokenStore:
    """Immutable ragged token vectors on disk.

    Attributes
    ----------
    flat : float16 memory map [tokens, dim]
    offsets : int64 [items + 1]; row i is ``flat[offsets[i]:offsets[i + 1]]``
    meta : what ``meta.json`` holds (``dim``, ``items``, ``tokens``, ``seconds``, ``identity``, ``chunks``)
    """

    def __init__(self, path: Path, meta: dict[str, Any], flat: np.ndarray, lengths: np.ndarray) -> None:
        self.path, self.meta, self.flat = path, meta, flat
        self.offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._transform: Callable[[np.ndarray], np.ndarray] | None = None

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
    def nbytes(self) -> int:
        """Bytes of the token vectors on disk."""
        return int(self.offsets[-1]) * self.dim * 2

    def __getitem__(self, row: int) -> np.ndarray:
        """float32 [tokens, dim]: one row, transformed."""
        return self._float32(self.flat[self.offsets[row] : self.offsets[row + 1]])

    def _float32(self, tokens: np.ndarray) -> np.ndarray:
        tokens = np.asarray(tokens, dtype=np.float32)
        return tokens if self._transform is None else self._transform(tokens)

    def map(self, transform: Callable[[np.ndarray], np.ndarray] | None) -> TokenStore:
        """A view whose rows pass through `transform` (float32 [t, dim] to float32 [t, dim]) when they are read."""
        if self._transform is not None:
            raise ValueError("a transformed view cannot be transformed again")
        view = copy.copy(self)
        view._transform = transform
        return view

    def blocks(self, token_bytes: int, row_bytes: int, budget: int) -> Iterator[Block]:
        """All rows in order, in blocks that cost at most `budget` bytes (a dearer single row is a block of its own).

        A block costs `token_bytes` for each of its tokens and `row_bytes` for each of its rows.
        """
        cost = self.offsets * token_bytes + np.arange(len(self) + 1) * row_bytes
        start = 0
        while start < len(self):
            fits = int(np.searchsorted(cost, cost[start] + budget, side="right")) - 1
            stop = max(start + 1, fits)
            first, last = self.offsets[start], self.offsets[stop]
            yield Block(start, self._float32(self.flat[first:last]), np.diff(self.offsets[start : stop + 1]))
            start = stop


def open_store(path: Path) -> TokenStore:
    """Open a complete store after checking all of it.

    Raises
    ------
    HarnessError
        If the store is incomplete or damaged, with the folder to delete.
    """
    remedy = f"delete the folder {path} and run again"
    try:
        meta = json.loads((path / META).read_text())
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
        flat = _memory_map(path / TOKENS, meta["tokens"], meta["dim"])
    except FileNotFoundError as error:
        raise HarnessError(f"the token store {path} is incomplete ({error.filename} is missing): {remedy}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise HarnessError(f"the token store is damaged: {path / META} cannot be read ({error}): {remedy}.") from error
    first = 0
    for chunk in meta["chunks"]:
        last = first + chunk["tokens"]
        if _crc(flat[first:last], lengths[chunk["start"] : chunk["stop"]]) != chunk["crc32"]:
            raise HarnessError(
                f"the token store is damaged: rows {chunk['start']} to {chunk['stop'] - 1} of {path} "
                f"do not match their checksum: {remedy}."
            )
        first = last
    if first != meta["tokens"] or int(lengths.sum(dtype=np.int64)) != meta["tokens"]:
        raise HarnessError(f"the token store {path} is damaged: its lengths do not add up to its tokens: {remedy}.")
    return TokenStore(path, meta, flat, lengths.astype(np.int64))


def build_store(
    path: Path, ids: Sequence[str], encode: Encode, identity: dict[str, Any], chunk: int = 1024
) -> TokenStore:
    """The store at `path`: opened if complete, resumed if half-written, built otherwise.

    Parameters
    ----------
    path
        Folder of the store; its name should depend on `identity`.
    ids
        Names of the rows, for messages; their number is the number of rows.
    encode
        Called once per chunk of at most `chunk` rows.
    identity
        Everything that changes the bytes. A half-written store of another identity is thrown away, a complete one is
        an error.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            if not (path / META).exists():
                _write(path, ids, encode, identity, chunk)
    except OSError as error:
        raise HarnessError(
            f"cannot write the token store {path} ({error.strerror or error}): free some space, or set cache_dir "
            "to a folder that can be written; finished chunks are kept and nothing incomplete is used."
        ) from error
    store = open_store(path)
    if store.meta["identity"] != identity:
        raise HarnessError(f"the token store {path} was made from other inputs: delete that folder and run again.")
    return store


def _write(path: Path, ids: Sequence[str], encode: Encode, identity: dict[str, Any], chunk: int) -> None:
    chunks, seconds, dim = _journal(path, identity, chunk)
    done = chunks[-1]["stop"] if chunks else 0
    tokens_done = sum(c["tokens"] for c in chunks)
    with (
        open(path / TOKENS, "ab") as token_file,
        open(path / LENGTHS, "ab") as length_file,
        open(path / JOURNAL, "a") as journal,
    ):
        token_file.truncate(tokens_done * (dim or 0) * 2)
        length_file.truncate(done * 4)
        if not done:
            _append(journal, json.dumps({"identity": identity, "chunk": chunk}) + "\n")
        for start in range(done, len(ids), chunk):
            stop = min(start + chunk, len(ids))
            began = time.perf_counter()
            rows = encode(start, stop)
            dim = dim or rows[0].shape[-1]
            flat = _checked(rows, ids[start:stop], dim)
            seconds += time.perf_counter() - began
            lengths = np.array([len(row) for row in rows], dtype="<i4")
            _append(token_file, flat.tobytes())
            _append(length_file, lengths.tobytes())
            entry = {"start": start, "stop": stop, "tokens": len(flat), "crc32": _crc(flat, lengths)}
            chunks.append(entry)
            _append(journal, json.dumps({**entry, "dim": dim, "seconds": seconds}) + "\n")
    total = sum(c["tokens"] for c in chunks)
    meta = {"format": FORMAT, "identity": identity, "dim": dim, "items": len(ids), "tokens": total}
    write_json(path / META, {**meta, "seconds": seconds, "chunks": chunks})
    (path / JOURNAL).unlink()


def _journal(path: Path, identity: dict[str, Any], chunk: int) -> tuple[list[dict[str, Any]], float, int | None]:
    """Finished chunks of a half-written store, the seconds spent on them, and its dimension; all files gone if none."""
    chunks: list[dict[str, Any]] = []
    seconds, dim = 0.0, None
    try:
        header, *lines = (path / JOURNAL).read_text().splitlines(keepends=True)
        if json.loads(header) != {"identity": identity, "chunk": chunk}:
            raise ValueError("the half-written store is of other inputs")
        for line in lines:
            if not line.endswith("\n"):  # cut off while it was written
                break
            entry = json.loads(line)
            seconds, dim = entry.pop("seconds"), entry.pop("dim")
            chunks.append(entry)
        tokens = sum(c["tokens"] for c in chunks)
        written = (path / TOKENS).stat().st_size, (path / LENGTHS).stat().st_size
        if not chunks or written[0] < tokens * (dim or 0) * 2 or written[1] < chunks[-1]["stop"] * 4:
            raise ValueError("nothing usable was written")
        _truncate_journal(path, 1 + len(chunks))
    except (OSError, ValueError, KeyError):
        shutil.rmtree(path)
        path.mkdir()
        return [], 0.0, None
    return chunks, seconds, dim


def _truncate_journal(path: Path, lines: int) -> None:
    """Keep the first `lines` lines: a line that was cut off must not be continued by the next one."""
    kept = (path / JOURNAL).read_text().splitlines(keepends=True)[:lines]
    temporary = path / (JOURNAL + ".tmp")
    temporary.write_text("".join(kept))
    os.replace(temporary, path / JOURNAL)


def _checked(rows: Sequence[np.ndarray], ids: Sequence[str], dim: int) -> np.ndarray:
    """The rows of one chunk as one finite float16 [tokens, dim]."""
    if len(rows) != len(ids):
        raise HarnessError(f"the encoder gave {len(rows)} token matrices for {len(ids)} texts: it is not usable.")
    for name, row in zip(ids, rows, strict=True):
        if row.ndim != 2 or row.shape[1] != dim:
            raise HarnessError(
                f"the token vectors of '{name}' have shape {tuple(row.shape)}, expected [tokens, {dim}]: "
                "all texts must be encoded by one model of one dimension."
            )
        if not np.isfinite(row).all():
            raise HarnessError(
                f"the model gave NaN or infinite token vectors for '{name}': check the weights, or use dtype float32."
            )
    return np.concatenate(rows).astype("<f2")


def _append(file: Any, data: Any) -> None:
    """Write and wait for the disk, so that the journal never names what a power cut could take back."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _crc(tokens: np.ndarray, lengths: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(lengths, dtype="<i4").data, zlib.crc32(np.ascontiguousarray(tokens).data))


def _memory_map(path: Path, tokens: int, dim: int) -> np.ndarray:
    if tokens == 0:  # an empty file cannot be mapped
        return np.empty((0, dim), dtype="<f2")
    # Copy on write, which nobody does: torch has no read-only tensors and warns of them.
    return np.memmap(path, dtype="<f2", mode="c", shape=(tokens, dim))
