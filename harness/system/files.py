"""Small file habits used everywhere: write to a temporary name, then rename; hash what names a cache folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np

from harness.system.errors import HarnessError


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to; afterwards `path` holds either its old content or all of the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of no other process, be it on another machine that writes here too.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text`, all of it or nothing."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: dict[str, Any]) -> None:
    """`write_text` of a JSON object, one line per top-level key: readable, and small in a diff."""
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
    write_text(path, "{\n" + lines + "\n}\n")


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with a last entry ``crc32``, of all others."""
    return {**value, "crc32": _crc(value)}


def unsealed(content: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The object that was sealed; one without ``crc32``, from before there was any, is taken as it is.

    Parameters
    ----------
    names
        All entries that it may have.

    Raises
    ------
    ValueError
        If it is not what was sealed.
    """
    value = {key: entry for key, entry in content.items() if key != "crc32"}
    if strange := sorted(value.keys() - names):
        raise ValueError(f"it has the unknown entry {ascii(strange[0])[:40]}")
    if "crc32" in content and content["crc32"] != _crc(value):
        raise ValueError("it fails its checksum")
    return value


def _crc(value: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(value).encode())


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write named arrays as one .npz file, all of it or nothing; its last line is the CRC-32 of all before it."""
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
        If a single bit of the file is another than was written.
    """
    try:
        content = memoryview(path.read_bytes())
        archive, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        if _checksum(archive) != checksum:
            raise ValueError("it fails its checksum")
        with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise HarnessError(f"{path} is damaged ({error}): delete it and run again.") from error


def _checksum(content: Any) -> bytes:
    """A line that may follow a zip archive: readers of zip look for the archive's end before it."""
    return b"crc32 %08x\n" % zlib.crc32(content)


_CHECKSUM_BYTES = len(_checksum(b""))


def append(file: IO[bytes], data: bytes) -> None:
    """Write and wait for the disk, so that nothing written later can outlive it in a power cut."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def flush(path: Path) -> None:
    """Wait until a file that someone else wrote is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def digest(value: Any) -> str:
    """sha256 of a JSON-able value, keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, read in pieces (`hashlib.file_digest` begins with Python 3.11)."""
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    return hasher.hexdigest()
