"""What failed last: the sentence of each cell's error, as a file that goes when the cell succeeds.

results_dir/failures/<data set>/<model>/<center>/<method>.txt
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from harness.records import CellKey
from harness.system.files import write_text

Names = CellKey


def path_of(results: Path, names: Names) -> Path:
    """Where the sentence of a cell is."""
    *folders, method = names
    return results.joinpath("failures", *folders, f"{method}.txt")


def note(results: Path, names: Names, sentence: str) -> None:
    """Keep what a cell failed with; where the disk refuses, the failure itself was still said."""
    with suppress(OSError):
        write_text(path_of(results, names), f"{sentence}\n")


def clear(results: Path, names: Names) -> None:
    """The cell succeeded."""
    with suppress(OSError):
        path_of(results, names).unlink(missing_ok=True)


def read(results: Path, names: Names) -> str | None:
    """What a cell failed with last; None: nothing."""
    try:
        return path_of(results, names).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
