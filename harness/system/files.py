"""Files: written under a temporary name and then renamed, checked when they are read, hashed to name cache folders.

A CRC-32 finds accidental damage, and is cheap enough to check at every read. A sha256 identifies content: files with
the same sha256 are the same file, so that it can stand in the name of a cache folder or in a record.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np

from harness.system.errors import HarnessError


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to. Afterwards `path` has either its old content or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is unique: another process, maybe on another machine, may write the same file.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):  # a full disk names no file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(option: str, folder: Path) -> None:
    """Find out before any work that a folder cannot be written.

    Parameters
    ----------
    option
        The option that names it, for the message.

    Raises
    ------
    HarnessError
        If it cannot be made, or takes no file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        try:
            probe.write_bytes(bytes(1 << 14))  # a full disk may still take an empty file
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise HarnessError(
            f"cannot write to {folder} ({error.strerror}): set {option} to a folder that can be written."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write all of `text`, or nothing."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object, one line per top-level key, so that it is readable and its diffs are small."""
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
    write_text(path, "{\n" + lines + "\n}\n")


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """The object with one more entry, ``crc32``: the checksum of all others."""
    return {**value, "crc32": _crc(value)}


def unsealed(content: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The object that was `sealed`. Objects without ``crc32`` (written by early versions) are not checked.

    Parameters
    ----------
    names
        All entries that the object may have.

    Raises
    ------
    ValueError
        If it has another entry, or fails its checksum.
    """
    value = {key: entry for key, entry in content.items() if key != "crc32"}
    if strange := sorted(value.keys() - names):
        raise ValueError(f"it has the unknown entry {ascii(strange[0])[:40]}")
    if "crc32" in content and content["crc32"] != _crc(value):
        raise ValueError("it fails its checksum")
    return value


def _crc(value: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(value).encode())


def unreadable(path: Path, error: OSError) -> HarnessError:
    """The error for a file that is there and cannot be opened or read: it may be undamaged."""
    return HarnessError(
        f"cannot read {path} ({error.strerror}), expected a file that this user may read: check its place and its "
        "permissions."
    )


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    HarnessError
        If it cannot be opened or read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write named arrays as one .npz file, or nothing. A last line holds the CRC-32 of all bytes before it."""
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    content = archive.getbuffer()
    with replacing(path) as file:
        file.write(content)
        file.write(_checksum(content))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of `write_arrays`.

    Raises
    ------
    HarnessError
        If the file cannot be read, or a single bit of it has changed.
    """
    try:
        content = memoryview(read_bytes(path))
        archive, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        if _checksum(archive) != checksum:
            raise ValueError("it fails its checksum")
        with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise HarnessError(f"{path} is damaged ({error}): delete it and run again.") from error


def _checksum(content: Any) -> bytes:
    """A line with the CRC-32. It may follow a zip archive: zip readers search backwards for the end of the archive."""
    return b"crc32 %08x\n" % zlib.crc32(content)


_CHECKSUM_BYTES = len(_checksum(b""))


def append(file: IO[bytes], data: bytes) -> None:
    """Write, and wait until the data is on the disk: after a power cut, nothing written later exists without it."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def flush(path: Path) -> None:
    """Wait until a file that other code wrote is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def digest(value: Any) -> str:
    """sha256 of a value as JSON, keys sorted; piece by piece, as a value may be gigabytes of training pairs."""
    found = hashlib.sha256()
    for piece in json.JSONEncoder(sort_keys=True, ensure_ascii=False).iterencode(value):
        found.update(piece.encode())
    return found.hexdigest()


def known_digest(path: Path) -> str:
    """sha256 of a file, computed again only if its size or time of change differs.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    found = path.stat()
    return _digest_of(path, found.st_size, found.st_mtime_ns)


@cache
def _digest_of(path: Path, _size: int, _mtime: int) -> str:
    return file_digest(path)


def file_digest(path: Path, kind: str = "sha256") -> str:
    """A digest of a file's bytes, read in pieces (`hashlib.file_digest` begins with Python 3.11)."""
    hasher = hashlib.new(kind, usedforsecurity=kind != "md5")
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    return hasher.hexdigest()
