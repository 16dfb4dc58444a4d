"""The last failure of each cell: its error message in a file, which is deleted once the cell succeeds.

results_dir/failures/<data set>/<model>/<center>/<method>.txt
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from harness.records import CellKey
from harness.system.files import write_text


def path_of(results: Path, names: CellKey) -> Path:
    """Path of a cell's note."""
    *folders, method = names
    return results.joinpath("failures", *folders, f"{method}.txt")


def note(results: Path, names: CellKey, sentence: str) -> None:
    """Keep the message of a cell's failure; if it cannot be written, the message was still logged."""
    with suppress(OSError):
        write_text(path_of(results, names), f"{sentence}\n")


def clear(results: Path, names: CellKey) -> None:
    """Delete the note once the cell has succeeded."""
    with suppress(OSError):
        path_of(results, names).unlink(missing_ok=True)


def read(results: Path, names: CellKey) -> str | None:
    """The message of a cell's last failure; None if there is none."""
    try:
        return path_of(results, names).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
