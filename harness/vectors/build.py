"""Building a `TokenStore`: chunk by chunk, by one or more processes together, resumed after a stop.

Only one chunk is in memory at a time. During the build, the folder of the store (`harness.vectors.store`) also has

    parts/START-STOP.npz    an encoded chunk; the process that encodes it holds parts/START-STOP.npz.lock
    journal.jsonl           the inputs, then one line per appended chunk: rows, tokens, CRC-32

Each process takes the next chunk that no process has encoded or is encoding. After the last one, one process appends
the chunks to the store, in order. A part is deleted once its bytes are on the disk and its line is in the journal.
meta.json, the completion marker, is written last.
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
    """Open the store at `path`, after building it (together with other processes) if it is not complete.

    Parameters
    ----------
    path
        Folder of the store; its name should depend on `identity`.
    ids
        One id per row, for messages.
    encode
        Called once per chunk of at most `chunk` rows.
    identity
        Everything that changes the bytes. Chunks in the journal of another identity are encoded again.

    Raises
    ------
    HarnessError
        If the store cannot be written, is damaged, is complete but has another identity, or `encode` returns vectors
        that are not finite or differ in dimension.
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
        shutil.rmtree(path / PARTS, ignore_errors=True)  # lock files that no process needs any more
    store = open_store(path)
    if store.meta["identity"] != identity:
        raise HarnessError(f"the token store {path} was made from other inputs: delete that folder and run again.")
    return store


def fill(
    path: Path, ids: Sequence[str], encode: Encode, identity: dict[str, Any], chunk: int = 1024, wait: bool = False
) -> None:
    """Encode the chunks of a store that are still missing; for the other parameters, see `build_store`.

    Parameters
    ----------
    wait
        Whether to wait for chunks that other processes are encoding, and to encode those that they did not finish.
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
                    # Read only now: a part may have been appended, and deleted, before we looked for it.
                    appended = {entry["start"] for entry in _journal(path, len(ids), identity, chunk)}
                    if start not in appended:
                        _encode(part, ids[start : start + chunk], encode, start, identity)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> HarnessError:
    return HarnessError(
        f"cannot write the token store {path} ({error.strerror or error}): free some space, or set cache_dir to a "
        "folder that can be written; finished chunks are kept, and nothing incomplete is used."
    )


def _part(path: Path, start: int, items: int, chunk: int) -> Path:
    """The file of a chunk that is encoded and not yet appended."""
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
    """Append the encoded chunks in order; if none is missing, complete the store."""
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
            if not part.exists():  # it was deleted: the caller encodes it again
                return
            arrays = read_arrays(part)
            if str(arrays.get("of")) != digest(
                [identity, start]
            ):  # made from other inputs or rows: the caller encodes it again
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
    """Append a chunk after those `before` it, and return its entry in the journal."""
    tokens, lengths, seconds = arrays["tokens"], arrays["lengths"], float(arrays["seconds"])
    dim = before[-1]["dim"] if before else tokens.shape[1]
    if tokens.shape[1] != dim:
        raise HarnessError(
            f"the token vectors of rows {start} to {start + len(lengths) - 1} have dimension {tokens.shape[1]}, those "
            f"before them {dim}: all texts must be encoded by one model."
        )
    append(token_file, tokens.tobytes())
    append(length_file, lengths.tobytes())
    seconds += before[-1]["seconds"] if before else 0.0
    rows = {"start": start, "stop": start + len(lengths), "tokens": len(tokens), "crc32": crc(tokens, lengths)}
    line = {**rows, "dim": dim, "seconds": seconds}
    append(journal, (json.dumps(line) + "\n").encode())
    return line


def _fit(path: Path, chunks: list[dict[str, Any]]) -> bool:
    """Whether the bytes of all chunks in the journal still have their CRC-32."""
    lengths, first = np.fromfile(path / LENGTHS, dtype="<i4") if chunks else np.empty(0), 0
    for c in chunks:
        tokens = read_tokens(path, first, first + c["tokens"], c["dim"])
        if crc(tokens, lengths[c["start"] : c["stop"]]) != c["crc32"]:
            return False
        first += c["tokens"]
    return True


def _journal(path: Path, items: int, identity: dict[str, Any], chunk: int) -> list[dict[str, Any]]:
    """The entries of the appended chunks; none if the journal is damaged, has other inputs, or bytes are missing.

    `_fit` finds damage that leaves the journal plausible.
    """
    try:
        header, *lines = (path / JOURNAL).read_text().splitlines(keepends=True)
        if json.loads(header) != {"identity": identity, "chunk": chunk}:
            return []
        chunks = [json.loads(line) for line in lines if line.endswith("\n")]  # the last line may be cut off
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
    """The rows of a chunk as one float16 [tokens, dim], after checking their shapes and that they are finite."""
    if len(rows) != len(ids):
        raise HarnessError(
            f"the encoder returned {len(rows)} token matrices, expected {len(ids)}, one per text: correct the encoder."
        )
    dim = rows[0].shape[-1]
    for name, row in zip(ids, rows, strict=True):
        if row.ndim != 2 or row.shape[1] != dim:
            raise HarnessError(
                f"the token vectors of '{name}' have shape {tuple(row.shape)}, expected [tokens, {dim}]: "
                "all texts must be encoded by one model."
            )
        if not np.isfinite(row).all() or (np.abs(row) > np.finfo("<f2").max).any():
            raise HarnessError(
                f"the model gave NaN or infinite token vectors for '{name}': check the weights, or use dtype float32."
            )
    return np.concatenate(rows).astype("<f2")
