"""The geometry of one (model, data set) as a JSON file.

    results/geometry/<data set>/<model>.json

    documents | queries                 -> space -> measures over the corpus (`harness.geometry.moments`)
    within_document | within_query      -> space -> the same, as a mean over texts
    spectrum  -> documents | queries    -> space -> each eigenvalue's share of their sum
    cosines   -> documents | queries    -> space -> histogram of the cosines of random pairs
    separation -> ``dead_axes`` of the documents' raw vectors (`harness.geometry.moments`), and ``maxsim_spread``
                                           (`harness.geometry.first_stages`); files from before 0.2.0 lack both
    first_stages -> method              -> space -> buckets or anchors (`harness.geometry.occupancy`), and how well the
                                           first stage follows MaxSim (`harness.evaluation.agreement`)

A space is the token vectors under a centering: ``raw``, ``centered`` and ``own`` for none, corpus and own
(`harness.vectors.centering.Kind.space`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import records
from harness.system.errors import HarnessError
from harness.system.files import read_bytes

FORMAT = 1
_KEYS = ("documents", "queries", "within_document", "within_query", "spectrum", "cosines", "first_stages", "identity")


def path_of(results: Path, dataset: str, model: str) -> Path:
    """Path of the geometry of a model on a data set."""
    return results / "geometry" / dataset / f"{model}.json"


def read(path: Path) -> dict[str, Any]:
    """Read a geometry.

    Raises
    ------
    HarnessError
        If the file does not exist, is damaged, or has another format.
    """
    try:
        found = records.parsed(read_bytes(path).decode("utf-8"))
        if found["format"] != FORMAT:
            raise HarnessError(
                f"the geometry {path} has format {found['format']}, expected {FORMAT}: run `geometry` again with "
                "overwrite=true."
            )
        if missing := [key for key in _KEYS if key not in found]:
            raise ValueError(f"it has no {', '.join(missing)}")
        for name in ("dataset", "model"):  # these become names of files
            records.check_name(name, found[name])
        return dict(found)
    except FileNotFoundError as error:
        raise HarnessError(f"there is no geometry {path}: run `python -m harness geometry` for it first.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            f"the geometry {path} is damaged ({type(error).__name__}: {error}): delete it and run `geometry` again."
        ) from error
