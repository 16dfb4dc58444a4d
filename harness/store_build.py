"""Writing a TokenStore: chunk by chunk while encoding, resumed after the last finished chunk.

The corpus never sits in a Python list. While building, the store's folder (`harness.store`) also holds

    journal.jsonl   the inputs, then one line per finished chunk: rows, tokens, CRC-32; gone afterwards

A chunk's line is written when its bytes are on the disk; meta.json, the completion marker, comes last.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from harness.errors import HarnessError
from harness.files import write_json
from harness.store import FORMAT, LENGTHS, META, TOKENS, TokenStore, crc, open_store

JOURNAL = "journal.jsonl"

Encode = Callable[[int, int], Sequence[np.ndarray]]
"""(start, stop) -> the token vectors of rows start..stop-1, each float [tokens, dim]."""


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
            entry = {"start": start, "stop": stop, "tokens": len(flat), "crc32": crc(flat, lengths)}
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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
        if not np.isfinite(row).all() or (np.abs(row) > np.finfo("<f2").max).any():
            raise HarnessError(
                f"the model gave NaN or infinite token vectors for '{name}': check the weights, or use dtype float32."
            )
    return np.concatenate(rows).astype("<f2")


def _append(file: Any, data: Any) -> None:
    """Write and wait for the disk, so that the journal never names what a power cut could take back."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
