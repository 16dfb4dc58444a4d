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
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.config.seeds import Seeds
from harness.system.errors import HarnessError
from harness.system.files import read_bytes, replacing

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
    """

    seeds: Seeds = ()
    ndcg10: Mapping[str, Float[np.ndarray, "draws queries"]] = field(default_factory=dict, compare=False)

    @property
    def means(self) -> dict[str, list[float]]:
        """Depth -> mean NDCG@10 of each draw."""
        return {depth: self.means_at(depth) for depth in self.ndcg10}

    def means_at(self, depth: str) -> list[float]:
        """Mean NDCG@10 of each draw at a depth."""
        return list(self.ndcg10[depth].mean(axis=1).tolist())


def write(record: Path, draws: Draws) -> dict[str, Any]:
    """Write the file of a record's draws; returns what the record says of them, nothing if it has none."""
    if not draws.seeds:
        return {}
    archive = io.BytesIO()
    np.savez_compressed(archive, **draws.ndcg10)  # type: ignore[arg-type]  # names of arrays are depths
    content = archive.getvalue()
    name = sha256(content).hexdigest()
    with replacing(_path(record, name)) as file:
        file.write(content)
    return {"seeds": [*draws.seeds], "ndcg10": draws.means, "sha256": name}


def clear(record: Path, described: Mapping[str, Any]) -> None:
    """Delete the files of a record's draws, but the one that it names."""
    kept = _path(record, described["sha256"]).name if described else None
    for path in record.parent.glob(f"{glob.escape(record.stem)}.draws-*.npz"):
        if path.name != kept:
            path.unlink(missing_ok=True)


def read(record: Path, described: Mapping[str, Any], scores: Mapping[str, list[float]]) -> Draws:
    """The draws that a record describes.

    Parameters
    ----------
    scores
        Depth -> the record's own score of each query: the mean over its draws.

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
    draws = Draws((*seeds,), _arrays(content, {depth: (len(seeds), len(own)) for depth, own in scores.items()}))
    for depth, values in draws.ndcg10.items():
        if not np.all((values >= 0) & (values <= 1)) or np.abs(values.mean(axis=0) - scores[depth]).max() > _ROUNDING:
            raise ValueError(f"the scores at depth {depth} are not the means of its draws, from 0 to 1")
    if described["ndcg10"] != draws.means:
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
