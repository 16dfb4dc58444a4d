"""Writing a TokenStore: chunk by chunk, by all processes that want it, resumed after a stop.

The corpus never sits in a Python list. While building, the store's folder (`harness.vectors.store`) also holds

    parts/START-STOP.npz    an encoded chunk; parts/START-STOP.npz.lock is held by the process that encodes it
    journal.jsonl           the inputs, then one line per chunk that was appended: rows, tokens, CRC-32

Each process takes the next chunk that nobody has encoded or is encoding. When there is none left, one process appends
the chunks to the store in order; each goes once its bytes are on the disk and its line is in the journal. meta.json,
the completion marker, comes last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.system import locks
from harness.system.errors import HarnessError
from harness.system.files import append, digest, read_arrays, sealed, write_arrays, write_json, write_text
from harness.system.progress import Stopwatch
from harness.vectors.store import FORMAT, LENGTHS, META, TOKENS, TokenStore, crc, is_complete, open_store, read_tokens

JOURNAL, PARTS = "journal.jsonl", "parts"

Encode = Callable[[int, int], Sequence[np.ndarray]]
"""(start, stop) -> the token vectors of rows start..stop-1, each float [tokens, dim]."""


def build_store(
    path: Path, ids: Sequence[str], encode: Encode, identity: dict[str, Any], chunk: int = 1024
) -> TokenStore:
    """The store at `path`: opened if complete, else built, together with whoever else is building it.

    Parameters
    ----------
    path
        Folder of the store; its name should depend on `identity`.
    ids
        Names of the rows, for messages; their number is the number of rows.
    encode
        Called once per chunk of at most `chunk` rows.
    identity
        Everything that changes the bytes. What a journal of another identity names is encoded anew, a complete store
        of another is an error.
    """
    try:
        while not is_complete(path):
            fill(path, ids, encode, identity, chunk)
            fill(path, ids, encode, identity, chunk, wait=True)
            with locks.held(locks.of(path)):
                if not is_complete(path):
                    _assemble(path, len(ids), identity, chunk)
    except OSError as error:
        raise _unwritable(path, error) from error
    if (path / PARTS).exists():
        (path / JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(path / PARTS, ignore_errors=True)  # locks that nobody needs any more
    store = open_store(path)
    if store.meta["identity"] != identity:
        raise HarnessError(f"the token store {path} was made from other inputs: delete that folder and run again.")
    return store


def fill(
    path: Path, ids: Sequence[str], encode: Encode, identity: dict[str, Any], chunk: int = 1024, wait: bool = False
) -> None:
    """Encode the chunks of a store that no process has encoded; parameters as in `build_store`.

    Parameters
    ----------
    wait
        Whether to wait for the chunks that other processes are encoding, and to encode those that they give up.
    """
    try:
        if is_complete(path):
            return
        with locks.announced(path / PARTS):
            appended: set[int] = set()
            for start in range(0, len(ids), chunk):
                if is_complete(path):
                    return
                part = _part(path, start, len(ids), chunk)
                with locks.held(locks.of(part), wait) as mine:
                    if not mine or start in appended or part.exists() or is_complete(path):
                        continue
                    # Read after the part was looked for, which goes when it was appended.
                    appended = {one["start"] for one in _journal(path, len(ids), identity, chunk)}
                    if start not in appended:
                        _encode(part, ids[start : start + chunk], encode, start, identity)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> HarnessError:
    return HarnessError(
        f"cannot write the token store {path} ({error.strerror or error}): free some space, or set cache_dir to a "
        "folder that can be written; finished chunks are kept and nothing incomplete is used."
    )


def _part(path: Path, start: int, items: int, chunk: int) -> Path:
    """Where a chunk is between its encoding and its turn."""
    return path / PARTS / f"{start}-{min(start + chunk, items)}.npz"


def _encode(part: Path, ids: Sequence[str], encode: Encode, start: int, identity: dict[str, Any]) -> None:
    watch = Stopwatch()
    with watch.phase("encode"):
        rows = encode(start, start + len(ids))
        tokens = _checked(rows, ids)
    lengths = np.array([len(row) for row in rows], dtype="<i4")
    facts = {"seconds": np.array(watch.seconds["encode"]), "of": np.array(digest([identity, start]))}
    write_arrays(part, tokens=tokens, lengths=lengths, **facts)


def _assemble(path: Path, items: int, identity: dict[str, Any], chunk: int) -> None:
    """Append all chunks that are there in order; the store is complete if none is missing."""
    chunks = _journal(path, items, identity, chunk)
    if not _fit(path, chunks):
        chunks = []
    header = {"identity": identity, "chunk": chunk}
    write_text(path / JOURNAL, "".join(json.dumps(line) + "\n" for line in [header, *chunks]))
    with (
        open(path / TOKENS, "ab") as token_file,
        open(path / LENGTHS, "ab") as length_file,
        open(path / JOURNAL, "ab") as journal,
    ):
        token_file.truncate(sum(c["tokens"] * c["dim"] * 2 for c in chunks))
        length_file.truncate(chunks[-1]["stop"] * 4 if chunks else 0)
        for start in range(chunks[-1]["stop"] if chunks else 0, items, chunk):
            part = _part(path, start, items, chunk)
            if not part.exists():  # someone deleted it: begin again
                return
            arrays = read_arrays(part)
            if str(arrays.get("of")) != digest([identity, start]):  # of other inputs or rows: encode it anew
                part.unlink()
                return
            chunks.append(_append(arrays, start, chunks, token_file, length_file, journal))
            part.unlink()
    dim, seconds = (chunks[-1]["dim"], chunks[-1]["seconds"]) if chunks else (None, 0.0)
    kept = [{key: c[key] for key in ("start", "stop", "tokens", "crc32")} for c in chunks]
    meta = {
        "format": FORMAT,
        "identity": identity,
        "dim": dim,
        "items": items,
        "tokens": sum(c["tokens"] for c in kept),
    }
    write_json(path / META, sealed({**meta, "seconds": seconds, "chunks": kept}))


def _append(
    arrays: dict[str, np.ndarray],
    start: int,
    before: list[dict[str, Any]],
    token_file: Any,
    length_file: Any,
    journal: Any,
) -> dict[str, Any]:
    """Put a chunk behind those `before` it, and give its line of the journal."""
    tokens, lengths, seconds = arrays["tokens"], arrays["lengths"], float(arrays["seconds"])
    dim = before[-1]["dim"] if before else tokens.shape[1]
    if tokens.shape[1] != dim:
        raise HarnessError(
            f"the token vectors of rows {start} to {start + len(lengths) - 1} have dimension {tokens.shape[1]}, those "
            f"before them {dim}: all texts must be encoded by one model of one dimension."
        )
    append(token_file, tokens.tobytes())
    append(length_file, lengths.tobytes())
    seconds += before[-1]["seconds"] if before else 0.0
    rows = {"start": start, "stop": start + len(lengths), "tokens": len(tokens), "crc32": crc(tokens, lengths)}
    line = {**rows, "dim": dim, "seconds": seconds}
    append(journal, (json.dumps(line) + "\n").encode())
    return line


def _fit(path: Path, chunks: list[dict[str, Any]]) -> bool:
    """Whether the bytes of all chunks that the journal names are those that were appended."""
    lengths, first = np.fromfile(path / LENGTHS, dtype="<i4") if chunks else np.empty(0), 0
    for c in chunks:
        tokens = read_tokens(path, first, first + c["tokens"], c["dim"])
        if crc(tokens, lengths[c["start"] : c["stop"]]) != c["crc32"]:
            return False
        first += c["tokens"]
    return True


def _journal(path: Path, items: int, identity: dict[str, Any], chunk: int) -> list[dict[str, Any]]:
    """The chunks that were appended; none if the journal is damaged, of other inputs, or names bytes that are missing.

    Damage that leaves it plausible is found by `_fit`.
    """
    try:
        header, *lines = (path / JOURNAL).read_text().splitlines(keepends=True)
        if json.loads(header) != {"identity": identity, "chunk": chunk}:
            return []
        chunks = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may have been cut off
        rows = [(start, min(start + chunk, items)) for start in range(0, items, chunk)]
        if [(c["start"], c["stop"]) for c in chunks] != rows[: len(chunks)] or len({c["dim"] for c in chunks}) > 1:
            return []
        if any(min(c["tokens"], c["crc32"]) < 0 or c["dim"] < 1 or c["seconds"] < 0 for c in chunks):
            return []
        tokens, lengths = (path / TOKENS).stat().st_size, (path / LENGTHS).stat().st_size
        if tokens < sum(c["tokens"] * c["dim"] * 2 for c in chunks) or lengths < chunks[-1]["stop"] * 4:
            return []
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return []
    return chunks


def _checked(rows: Sequence[np.ndarray], ids: Sequence[str]) -> np.ndarray:
    """The rows of one chunk as one finite float16 [tokens, dim]."""
    if len(rows) != len(ids):
        raise HarnessError(f"the encoder gave {len(rows)} token matrices for {len(ids)} texts: it is not usable.")
    dim = rows[0].shape[-1]
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
