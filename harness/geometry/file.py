"""The geometry of one (model, data set) as a JSON file.

results/geometry/<data set>/<model>.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import records
from harness.system.errors import HarnessError

FORMAT = 1


_KEYS = ("documents", "queries", "within_document", "within_query", "spectrum", "cosines", "first_stages", "identity")


def path_of(results: Path, dataset: str, model: str) -> Path:
    """Where the geometry of a model on a data set is."""
    return results / "geometry" / dataset / f"{model}.json"


def read(path: Path) -> dict[str, Any]:
    """Read a geometry.

    Raises
    ------
    HarnessError
        If there is none, or the file is not one of a known format.
    """
    try:
        found = records.parsed(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise HarnessError(
                f"the geometry {path} has format {found['format']}, expected {FORMAT}: run `geometry` again with "
                "overwrite=true."
            )
        if missing := [key for key in _KEYS if key not in found]:
            raise ValueError(f"it has no {', '.join(missing)}")
        for name in ("dataset", "model"):  # which become files' names
            records.check_name(name, found[name])
        return dict(found)
    except FileNotFoundError as error:
        raise HarnessError(f"there is no geometry {path}: run `python -m harness geometry` for it first.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            f"the geometry {path} is damaged ({type(error).__name__}: {error}): delete it and run `geometry` again."
        ) from error
