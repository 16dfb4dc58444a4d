"""Record: one measured cell, (data set, model, centering, method), as one JSON file.

    results/records/<data set>/<model>/<center>/<method>.json

A record is the last thing that is written for a cell, and it appears in one step: if the file exists, the cell is
finished. The scores of several draws are in a file beside it (`harness.records.draws`). The record of a method that
ranks with MaxSim itself (PLAID, exact search) has the centering ``none`` and a single ranking, under the depth
``final``.

A record may come from a stranger. Its names become names of files, cells of tables and words of commands, so a record
is refused if one of its names could not come from `run`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from harness.config.measures import NDCG10, Measure
from harness.config.seeds import Seeds
from harness.records import draws as draws_files
from harness.records.draws import Draws
from harness.records.untrusted import check_name, check_numbers, parsed
from harness.system.errors import HarnessError
from harness.system.files import digest, read_bytes, sealed, unsealed, write_json

FORMAT = 4
OLDEST = 1
"""The oldest format that is read."""
FINAL = "final"
"""The depth of the single ranking of a method that ranks with MaxSim itself."""
FOREIGN, NO_MODEL = "foreign-", "no-model"
"""How the methods of other engines' runs begin, and the model of such a run that was not reranked."""


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
    """The result of one cell.

    Attributes
    ----------
    ndcg10 : rerank depth (or "final") -> mean NDCG@10 over the judged queries, 0 to 1; of several draws, their mean
    candidate_recall : depth -> mean share of a query's relevant documents among its first candidates
    candidates : number of candidates asked for per query, the fewest and the mean that a query got, and how many
        queries got fewer than asked for
    seconds : phase -> seconds; the time of encoding is that of the run that encoded
    bytes : size of the token vectors and of the method's index
    identity : the inputs and options that a score depends on; a cell with a different identity is a different cell.
        Versions and host are recorded beside it
    sha256 : hashes of ``config``, data, weights and the harness's code
    seeds : those of the model's head and of the method, if they have one
    per_query : "queries" -> ids; depth -> NDCG@10 of each query; of several draws, their mean
    measures : further measure (`harness.config.measures`) -> depth -> the same as ``per_query``
    draws : the scores of each draw of the method's random numbers

    Records of format 1 have no ``sha256`` and ``seeds``: both are filled from ``config`` and ``identity`` when such a
    record is read, without the hash of the code. Records of formats 1 and 2 have one draw, those of formats 1 to 3
    NDCG@10 alone.
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
    measures: dict[str, dict[str, list[float]]] = dataclasses.field(default_factory=dict)
    draws: Draws = dataclasses.field(default_factory=Draws)
    format: int = FORMAT

    @property
    def key(self) -> CellKey:
        """What names its cell."""
        return CellKey(self.dataset, self.model, self.center, self.method)

    @property
    def is_foreign(self) -> bool:
        """Whether it is the run of another engine (`harness.foreign`)."""
        return self.method.startswith(FOREIGN)

    @property
    def run_file(self) -> str:
        """The name of the file that another engine's run was read from."""
        method = self.config.get("method")
        file = method.get("file") if isinstance(method, dict) else None
        return file if isinstance(file, str) else "RUN.trec"

    @property
    def draw_seeds(self) -> Seeds:
        """The seed of each of its draws; None for a method without random numbers."""
        return self.draws.seeds or (self.seeds.get("method"),)

    def seen_by(self, measure: Measure) -> Record:
        """The record as if its scores, and those of its draws, were those of a measure that it has."""
        if measure == NDCG10:
            return self
        scores = self.measures[measure.name]
        means = {depth: fmean(values) for depth, values in scores.items()}
        per_query = {"queries": self.per_query["queries"], **scores}
        draws = Draws(self.draws.seeds, self.draws.measures.get(measure.name, {}))
        return dataclasses.replace(self, ndcg10=means, per_query=per_query, draws=draws)

    def query_scores(self, depth: str) -> dict[str, float]:
        """Query id -> NDCG@10, 0 to 1, at a depth that the record has.

        Raises
        ------
        HarnessError
            If there is not exactly one score for each of the record's queries.
        """
        queries, values = self.per_query.get("queries", []), self.per_query.get(depth, [])
        scores = dict(zip(queries, values, strict=False))
        if not scores or len(scores) != len(queries) or len(scores) != len(values):
            raise HarnessError(
                f"the record of {self.dataset}, {self.model}, {self.center}, {self.method} has {len(values)} scores at "
                f"depth {depth} for {len(set(queries))} queries, expected one for each: measure the cell again with "
                "overwrite=true."
            )
        return scores


def record_path(results: Path, dataset: str, model: str, center: str, method: str) -> Path:
    """Path of the record of a cell."""
    return results / "records" / dataset / model / center / f"{method}.json"


def write(results: Path, record: Record) -> Path:
    """Write a record and return its path; an older record is replaced in one step."""
    path = record_path(results, *record.key)
    try:
        described = draws_files.write(path, record.draws)
        content = {field.name: getattr(record, field.name) for field in fields(Record)}
        write_json(path, sealed({**content, "draws": described}))
        draws_files.clear(path, described)
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
        parts = parsed(read_bytes(path).decode("utf-8"))
        if not isinstance(parts, dict):
            raise ValueError("it is not an object")
        content = unsealed(parts, [field.name for field in fields(Record)])
        version = content["format"]
        if version not in range(OLDEST, FORMAT + 1):
            raise HarnessError(
                f"the record {path} has format {version}, expected {OLDEST} to {FORMAT}: measure the cell again "
                "with overwrite=true, or read it with the version that wrote it."
            )
        if version == 1:
            content = {**_hashes_and_seeds(content), **content}
        content = {**({"draws": {}} if version < 3 else {}), **({"measures": {}} if version < 4 else {}), **content}
        _check(content)
        scores = {depth: content["per_query"].get(depth, []) for depth in content["ndcg10"]}
        content["draws"] = draws_files.read(path, content["draws"], scores, content["measures"])
        return Record(**{field.name: content[field.name] for field in fields(Record)})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"the record {path} is damaged ({type(error).__name__}: {error}): delete it and run the cell again."
        ) from error


def _hashes_and_seeds(content: dict[str, Any]) -> dict[str, Any]:
    """The fields ``sha256`` and ``seeds`` of a record of format 1, which has their values in other fields."""
    config, identity = content["config"], content["identity"]
    inputs = {name: identity[key] for name, key in (("data", "dataset"), ("weights", "weights")) if key in identity}
    seeds = {group: config.get(group, {}).get("seed") for group in ("model", "method")}
    return {"sha256": {"config": digest(config), **inputs}, "seeds": seeds}


def _check(content: dict[str, Any]) -> None:
    """Raise a ValueError for content that `run` never writes, a KeyError for a missing field."""
    kinds = {"dict": dict, "list": list, "str": str, "int": int, "Draws": dict}
    for field in fields(Record):
        kind = str(field.type).split("[")[0]
        if not isinstance(content[field.name], kinds[kind]):
            raise ValueError(f"{field.name} is not a {kinds[kind].__name__}")
    for name in ("dataset", "model", "center", "method"):
        check_name(name, content[name])
    check_numbers(content)
    if not all(isinstance(note, str) and note.isprintable() for note in content["notes"]):
        raise ValueError("a note is not a line of text")


def read_all(results: Path, datasets: Collection[str] | None = None) -> Iterator[Record]:
    """The records on some data sets (None: on all), in the order of their paths."""
    for path in sorted((results / "records").glob("*/*/*/*.json")):
        if datasets is None or path.relative_to(results / "records").parts[0] in datasets:
            record = read(path)
            if (expected := record_path(results, record.dataset, record.model, record.center, record.method)) != path:
                raise HarnessError(
                    f"the record {path} names another cell, expected at {expected}: move it there, or "
                    "delete it and run the cell again."
                )
            yield record
