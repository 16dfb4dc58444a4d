"""What is to be measured: from configurations to cells, those of one (data set, model) together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import records
from harness.evaluation import trec
from harness.evaluation.ndcg import CUT
from harness.measure import artifacts
from harness.measure.cells import Cell, Options, Request, centering_of, names_of
from harness.measure.testbed import Testbed
from harness.records import results_dir
from harness.system.errors import HarnessError


def _missing_depths(path: Path, identity: Options, config: Options, overwrite: bool) -> list[int]:
    """Depths to measure: none if the record has all that are asked for, else these and those that it has.

    Raises
    ------
    HarnessError
        If the record is of other inputs (weights, data, options): it is neither believed nor replaced unasked.
    """
    asked = [int(depth) for depth in config["depths"]]
    if overwrite or not path.exists():
        return asked
    record = records.read(path)
    differs = sorted(key for key in identity if record.identity.get(key) != identity[key])
    if differs and config["overwrite"]:  # of the reference: it is replaced only where it must be
        return asked
    if differs:
        raise HarnessError(
            f"the record {path} was made from another {', '.join(differs)}: set overwrite=true to replace it, or "
            "model.name (dataset.name) to keep both."
        )
    measured = [] if records.FINAL in record.ndcg10 else [int(depth) for depth in record.ndcg10]
    return [] if has_depths(record, asked) else sorted({*asked, *measured})


def is_measured(config: Options, cell: Cell) -> bool:
    """Whether a cell's record has all its depths by now: another process may have measured it meanwhile."""
    results = results_dir(config["results_dir"])
    path = records.record_path(results, *cell.names)
    if not path.exists():
        return False
    record = records.read(path)
    if record.identity != cell.identity or not has_depths(record, cell.depths):
        return False
    return not config["save_runs"] or trec.exist(results, cell.names, record.ndcg10)


def is_outdated(config: Options, cell: Cell) -> bool:
    """Whether a cell's record has by now what would be lost if it were replaced: other depths, or other inputs."""
    path = records.record_path(results_dir(config["results_dir"]), *cell.names)
    if not path.exists():
        return False
    record = records.read(path)
    if record.identity != cell.identity:
        return not config["overwrite"]
    return records.FINAL not in record.ndcg10 and not record.ndcg10.keys() <= {str(depth) for depth in cell.depths}


def is_of_other_inputs(config: Options, cell: Cell) -> bool:
    """Whether a cell's record is of other inputs than the cell, or cannot be read."""
    path = records.record_path(results_dir(config["results_dir"]), *cell.names)
    try:
        return path.exists() and records.read(path).identity != cell.identity
    except HarnessError:
        return True


def has_depths(record: records.Record, asked: Sequence[int]) -> bool:
    """Whether a record has all rerank depths that are asked for, or its single ranking goes down to them."""
    if records.FINAL in record.ndcg10:
        return bool(record.candidates["asked"] >= max(asked[-1], CUT))
    return {str(depth) for depth in asked} <= record.ndcg10.keys()


def _measured(path: Path) -> list[int]:
    """All depths that a finished record has, or the one that its single ranking goes down to."""
    record = records.read(path)
    return [record.candidates["asked"] if depth == records.FINAL else int(depth) for depth in record.ndcg10]


def cell_of(testbed: Testbed, request: Request) -> Cell:
    """The cell of a request; without depths if its record has all that is asked for."""
    config, method, centering = testbed.config, request.method, centering_of(request)
    names = names_of(testbed.dataset_name, testbed.model_name, request)
    mean = testbed.query_mean(centering) if centering["name"] == "own" else None
    identity = {**testbed.identity, "center": {**centering, "query_mean": mean and mean.sha256}, "method": method}
    results = results_dir(config["results_dir"])
    path = records.record_path(results, *names)
    depths = _missing_depths(path, identity, config, request.asked and config["overwrite"])
    if config["save_runs"] and not depths and not trec.exist(results, names, records.read(path).ndcg10):
        depths = sorted({*config["depths"], *_measured(path)})
    k, anew = max([*depths, CUT]), bool(request.asked and config["overwrite"])
    depends_on = [identity["center"], identity["method"], k, depths[-1:]]
    files = artifacts.files(testbed.stages, *names[2:], depends_on, testbed.shard)
    return Cell(names, method, centering, mean, identity, depths, request, anew, files)
