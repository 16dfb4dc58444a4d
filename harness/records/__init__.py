"""Record: one measured cell, (data set, model, centering, method), as one JSON file.

    results/records/<data set>/<model>/<center>/<method>.json

A record is written last and whole, so that a file that is there is a finished cell. PLAID and exact search do not
depend on the centering: theirs is ``none``, and their one ranking stands under the depth ``final``.

A record may be a stranger's. Its names become files, lines of tables and parts of commands, so that one with other
names than `run` gives is not read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from harness.config.names import safe_name
from harness.system.errors import HarnessError
from harness.system.files import digest, sealed, unsealed, write_json

FORMAT = 2
OLDEST = 1
"""The oldest format that is read."""
FINAL = "final"


class CellKey(NamedTuple):
    """What names a cell: its data set, its model, and the variants of centering and method."""

    dataset: str
    model: str
    center: str
    method: str

    @property
    def title(self) -> str:
        """The key in messages."""
        return "  ".join(self)


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
        have one (of a record of format 1: what it says of them elsewhere; the code's is missing)
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
        write_json(path, sealed(asdict(record)))
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
        content = unsealed(parsed(path.read_text(encoding="utf-8")), [field.name for field in fields(Record)])
        found = content["format"]
        if found not in range(OLDEST, FORMAT + 1):
            raise HarnessError(
                f"the record {path} has format {found}, expected {OLDEST} to {FORMAT}: measure the cell again "
                "with overwrite=true, or read it with the version that wrote it."
            )
        if found == 1:
            content = {**_hashes_and_seeds(content), **content}
        _check(content)
        return Record(**{field.name: content[field.name] for field in fields(Record)})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"the record {path} is damaged ({type(error).__name__}: {error}): delete it and run the cell again."
        ) from error


def _hashes_and_seeds(content: dict[str, Any]) -> dict[str, Any]:
    """What a record of format 1 says of its inputs in other places; of the harness's code it names the commit alone."""
    config, identity = content["config"], content["identity"]
    of_inputs = {name: identity[key] for name, key in (("data", "dataset"), ("weights", "weights")) if key in identity}
    seeds = {group: config.get(group, {}).get("seed") for group in ("model", "method")}
    return {"sha256": {"config": digest(config), **of_inputs}, "seeds": seeds}


def parsed(text: str) -> Any:
    """What a JSON text says.

    Raises
    ------
    ValueError
        Also for NaN and infinity, which are not JSON, whole numbers of more than 64 bits, and nesting without end.
    """
    try:
        return json.loads(text, parse_constant=_refused, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refused(text: str) -> None:
    raise ValueError(f"the number {text}")


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _check(content: dict[str, Any]) -> None:
    """Raise a ValueError for content that `run` never writes, a KeyError for what is missing."""
    kinds = {"dict": dict, "list": list, "str": str, "int": int}
    for field in fields(Record):
        kind = str(field.type).split("[")[0]
        if not isinstance(content[field.name], kinds[kind]):
            raise ValueError(f"{field.name} is not a {kind}")
    for name in ("dataset", "model", "center", "method"):
        check_name(name, content[name])
    if not all(isinstance(value, float) and 0 <= value <= 1 for value in content["ndcg10"].values()):
        raise ValueError("ndcg10 is not a number for each depth, from 0 to 1")
    if not all(isinstance(note, str) and note.isprintable() for note in content["notes"]):
        raise ValueError("a note is not a line of text")


def check_name(what: str, name: Any) -> None:
    """Raise a ValueError for a name that no cell can have."""
    try:
        safe_name(what, name)
    except HarnessError as error:
        raise ValueError(f"{what} is {ascii(name)[:40]}, which is no file name") from error


def read_all(results: Path, datasets: Collection[str] | None = None) -> Iterator[Record]:
    """The records of some data sets (None: of all), in the order of their paths."""
    for path in sorted((results / "records").glob("*/*/*/*.json")):
        if datasets is None or path.relative_to(results / "records").parts[0] in datasets:
            yield read(path)
