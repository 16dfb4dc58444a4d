"""Record: one measured cell, (data set, model, centering, method), as one JSON file.

    results/records/<data set>/<model>/<center>/<method>.json

A record is written last and whole, so that a file that is there is a finished cell. PLAID and exact search do not
depend on the centering: theirs is ``none``, and their one ranking stands under the depth ``final``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.files import write_json

FORMAT = 2
BEFORE: dict[int, dict[str, Any]] = {1: {"sha256": {}, "seeds": {}}}
"""Older formats that are read: what their records lack."""
FINAL = "final"


def is_whole(method: str) -> bool:
    """Whether a method, or a variant of it, scores with MaxSim itself: one value, no centering, no reranking."""
    return method.split("+")[0] in ("plaid", "exact")


@dataclass(frozen=True)
class Record:
    """What one cell gave.

    Attributes
    ----------
    ndcg10 : rerank depth (or "final") -> mean NDCG@10 over the judged queries, 0 to 1
    candidate_recall : depth -> mean share of a query's relevant documents among its first candidates
    candidates : how many were asked for, the fewest and the mean that a query got, and the queries that got fewer
    seconds : phase -> seconds; encoding counts once, when it was done
    bytes : of the token vectors, and of the method's index
    identity : the inputs and options that a score depends on (versions and host are recorded beside it): a cell of
        another identity is another cell
    sha256 : of ``config``, data, weights and the harness's code; seeds : of the model's head and of the method, if they
        have one (both are empty in records of format 1)
    per_query : "queries" -> ids; depth -> NDCG@10 of each
    """

    dataset: str
    model: str
    center: str
    method: str
    ndcg10: dict[str, float]
    candidate_recall: dict[str, float]
    candidates: dict[str, Any]
    seconds: dict[str, float]
    bytes: dict[str, int]
    details: dict[str, Any]
    notes: list[str]
    identity: dict[str, Any]
    config: dict[str, Any]
    sha256: dict[str, str]
    seeds: dict[str, int | None]
    versions: dict[str, str]
    host: dict[str, Any]
    commit: str
    started: str
    per_query: dict[str, list[Any]]
    format: int = FORMAT


def record_path(results: Path, dataset: str, model: str, center: str, method: str) -> Path:
    """Where the record of a cell is."""
    return results / "records" / dataset / model / center / f"{method}.json"


def write(results: Path, record: Record) -> Path:
    """Write a record; the old one stays until the new one is complete."""
    path = record_path(results, record.dataset, record.model, record.center, record.method)
    try:
        write_json(path, asdict(record))
    except OSError as error:
        raise HarnessError(
            f"cannot write the record {path} ({error.strerror}): set results_dir to a folder that can be written."
        ) from error
    return path


def read(path: Path) -> Record:
    """Read a record.

    Raises
    ------
    HarnessError
        If the file is not a record of a known format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content["format"]
        if found != FORMAT and found not in BEFORE:
            raise HarnessError(
                f"the record {path} has format {found}, expected {min(BEFORE)} to {FORMAT}: measure the cell again "
                "with overwrite=true, or read it with the version that wrote it."
            )
        content = {**BEFORE.get(found, {}), **content}
        record = Record(**{field.name: content[field.name] for field in fields(Record)})
        if not all(isinstance(value, float) for value in record.ndcg10.values()):
            raise ValueError("ndcg10 is not a number for each depth")
        return record
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"the record {path} is damaged ({type(error).__name__}: {error}): delete it and run the cell again."
        ) from error


def read_all(results: Path, datasets: Collection[str] | None = None) -> Iterator[Record]:
    """The records of some data sets (None: of all), in the order of their paths."""
    for path in sorted((results / "records").glob("*/*/*/*.json")):
        if datasets is None or path.relative_to(results / "records").parts[0] in datasets:
            yield read(path)
