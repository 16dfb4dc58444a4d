"""Folders that other code fills, such as an index: complete if and only if their marker is there.

The marker is written last. It has the size and the CRC-32 of every file, and what else is worth knowing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.system.errors import HarnessError
from harness.system.files import flush, sealed, unsealed, write_json

MARKER = "complete.json"
FILES = "files"


def complete(folder: Path, facts: dict[str, Any], files: Sequence[Path]) -> None:
    """Write the marker of a folder, once its files are on the disk."""
    found = {path.name: {"bytes": path.stat().st_size, "crc32": _crc(path)} for path in files}
    for path in files:
        flush(path)
    write_json(folder / MARKER, sealed({**facts, FILES: found}))


def checked(folder: Path, title: str, names: Sequence[str]) -> dict[str, Any]:
    """The marker of a complete folder whose files have the sizes and CRC-32 that it says.

    Parameters
    ----------
    title
        What the folder holds, for messages.
    names
        The facts that the marker must have.

    Raises
    ------
    HarnessError
        If a file differs, or the marker is damaged, with the folder to delete.
    """
    try:
        marker = unsealed(json.loads((folder / MARKER).read_text()), (*names, FILES))
        if not marker[FILES]:
            raise ValueError("it lists no files")
        for name, entry in marker[FILES].items():
            path = folder / name
            found = (path.stat().st_size, _crc(path)) if path.exists() else (0, None)
            if found != (entry["bytes"], entry["crc32"]):
                raise _damaged(folder, title, path)
        for name in names:
            marker[name]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, title, folder / MARKER) from error
    return marker


def size(marker: dict[str, Any]) -> int:
    """Bytes of all files of a folder, by its marker."""
    return sum(entry["bytes"] for entry in marker[FILES].values())


def _damaged(folder: Path, title: str, path: Path) -> HarnessError:
    return HarnessError(f"{title} is damaged ({path}): delete the folder {folder} and run again.")


def _crc(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 22):
            value = zlib.crc32(piece, value)
    return value
