"""Draws: the scores of a cell under each draw of its method's random numbers, in a compact file beside its record.

    results/records/<data set>/<model>/<center>/<method>.draws-<beginning of its sha256>.npz

The record has the seeds, the means of each draw, and the sha256 of this file, which has the scores of every query. The
file is written before the record that names it, and those of older records are deleted after it: whenever a process is
killed, the record that there is has its draws.
"""

from __future__ import annotations

import glob
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from harness.config.seeds import Seeds
from harness.system.errors import HarnessError
from harness.system.files import read_bytes, replacing

T = TypeVar("T")
Scores = Mapping[str, Float[np.ndarray, "draws queries"]]
"""Depth -> score of each query in each draw."""
_ROUNDING = 1e-9
_HEADER = 1024
"""More bytes than the description of an array takes in the file."""


@dataclass(frozen=True)
class Draws:
    """The scores of each draw; without seeds if the record's only draw is that of its method's own seed.

    Attributes
    ----------
    seeds : of each draw, ascending
    ndcg10 : rerank depth (or "final") -> NDCG@10 of each query in each draw, 0 to 1, in the order of the record's
        queries
    measures : further measure -> the same
    """

    seeds: Seeds = ()
    ndcg10: Scores = field(default_factory=dict, compare=False)
    measures: Mapping[str, Scores] = field(default_factory=dict, compare=False)

    @property
    def means(self) -> dict[str, list[float]]:
        """Depth -> mean NDCG@10 of each draw."""
        return _means(self.ndcg10)

    def means_at(self, depth: str) -> list[float]:
        """Mean NDCG@10 of each draw at a depth."""
        return self.means[depth]

    @property
    def arrays(self) -> dict[str, Float[np.ndarray, "draws queries"]]:
        """Name in the file -> scores."""
        return _named(self.ndcg10, self.measures)

    @property
    def means_of_measures(self) -> dict[str, dict[str, list[float]]]:
        """Further measure -> depth -> mean of each draw."""
        return {name: _means(scores) for name, scores in self.measures.items()}


def _means(scores: Scores) -> dict[str, list[float]]:
    return {depth: list(values.mean(axis=1).tolist()) for depth, values in scores.items()}


def _named(ndcg10: Mapping[str, T], measures: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Scores by their names in the file: the depth, for a further measure with its name before it."""
    further = {f"{name}.{depth}": values for name, scores in measures.items() for depth, values in scores.items()}
    return {**ndcg10, **further}


def write(record: Path, draws: Draws) -> dict[str, Any]:
    """Write the file of a record's draws; returns what the record says of them, nothing if it has none."""
    if not draws.seeds:
        return {}
    archive = io.BytesIO()
    np.savez_compressed(archive, **draws.arrays)  # type: ignore[arg-type]  # the names are no options
    content = archive.getvalue()
    name = sha256(content).hexdigest()
    with replacing(_path(record, name)) as file:
        file.write(content)
    further = {"measures": draws.means_of_measures} if draws.measures else {}
    return {"seeds": [*draws.seeds], "ndcg10": draws.means, **further, "sha256": name}


def clear(record: Path, described: Mapping[str, Any]) -> None:
    """Delete the files of a record's draws, but the one that it names."""
    kept = _path(record, described["sha256"]).name if described else None
    for path in record.parent.glob(f"{glob.escape(record.stem)}.draws-*.npz"):
        if path.name != kept:
            path.unlink(missing_ok=True)


def read(
    record: Path,
    described: Mapping[str, Any],
    scores: Mapping[str, list[float]],
    measures: Mapping[str, Mapping[str, list[float]]],
) -> Draws:
    """The draws that a record describes.

    Parameters
    ----------
    scores
        Depth -> the record's own score of each query: the mean over its draws.
    measures
        Further measure -> the same.

    Raises
    ------
    HarnessError
        If their file is missing.
    ValueError
        If it is not the one that the record names, or the record does not fit it.
    """
    if not described:
        return Draws()
    seeds = described["seeds"]
    if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds) or not seeds:
        raise ValueError("the seeds of its draws are not a list of whole numbers")
    path = _path(record, str(described["sha256"]))
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        raise HarnessError(
            f"the record {record} has {len(seeds)} draws, and {path.name} with their scores is not beside it: copy "
            "that file, too, or measure the cell again with overwrite=true."
        ) from None
    if sha256(content).hexdigest() != described["sha256"]:
        raise ValueError(f"{path.name} has other bytes than it was written with")
    own = _named(scores, measures)
    arrays = _arrays(content, {name: (len(seeds), len(values)) for name, values in own.items()})
    for name, values in arrays.items():
        if not np.all((values >= 0) & (values <= 1)) or np.abs(values.mean(axis=0) - own[name]).max() > _ROUNDING:
            raise ValueError(f"the scores at depth {name} are not the means of its draws, from 0 to 1")
    further = {name: {depth: arrays[f"{name}.{depth}"] for depth in found} for name, found in measures.items()}
    draws = Draws((*seeds,), {depth: arrays[depth] for depth in scores}, further)
    if (described["ndcg10"], described.get("measures", {})) != (draws.means, draws.means_of_measures):
        raise ValueError("the means of its draws are not those of their scores")
    return draws


def _path(record: Path, name: str) -> Path:
    return record.with_name(f"{record.stem}.draws-{name[:8]}.npz")


def _arrays(content: bytes, shapes: Mapping[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    """The arrays of a file, which may be a stranger's: no code is loaded, and nothing larger than it should be."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        expected = {f"{depth}.npy": 8 * draws * queries for depth, (draws, queries) in shapes.items()}
        if sizes.keys() != expected.keys() or any(sizes[name] > most + _HEADER for name, most in expected.items()):
            raise ValueError("it has other arrays than the record has depths")
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            arrays = {depth: found[depth] for depth in shapes}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"the file of its draws is damaged ({error})") from error
    if any(arrays[depth].shape != shape or arrays[depth].dtype != np.float64 for depth, shape in shapes.items()):
        raise ValueError("the file of its draws has arrays of another shape")
    return arrays
