"""Which cells have no record with all their depths yet.

A record of other inputs (weights, data, options) is neither believed nor replaced without ``overwrite=true``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from harness import records
from harness.evaluation import trec
from harness.evaluation.ndcg import CUT
from harness.measure import artifacts
from harness.measure.cells import Cell, Options, Request
from harness.measure.grouping import keys_of
from harness.measure.testbed import Testbed
from harness.records import CellKey, Record, failures
from harness.system.errors import HarnessError

log = logging.getLogger(__name__)


def pending(testbed: Testbed, requests: Sequence[Request]) -> list[Cell]:
    """The cells that have no record with all their depths yet; a cell that cannot be planned is a failure."""
    results = testbed.options.results
    cells: dict[CellKey, Cell] = {}
    for request in sorted(requests, key=lambda request: request.asked):  # what is asked for replaces the reference
        title = f"{testbed.dataset_name}  {request.center.name}  {request.method.name}"
        with testbed.failures.collect(results, keys_of(testbed.options, [request]), title):
            cell = plan(testbed, request)
            if not cell.depths and cell.key not in cells:
                failures.clear(results, cell.key)
                log.log(logging.INFO if request.asked else logging.DEBUG, "%s: finished before", cell.title)
            cells[cell.key] = cell
    return [cell for cell in cells.values() if cell.depths]


def plan(testbed: Testbed, request: Request) -> Cell:
    """The cell of a request; without depths if its record has all that are asked for.

    Raises
    ------
    HarnessError
        If its record was made from other inputs, or its name cannot be a file's.
    """
    options, key = testbed.options, request.key(testbed.dataset_name, testbed.model_name)
    mean = testbed.query_mean(request.center)
    center = request.center.identity(mean.sha256 if mean else None)
    identity = {**testbed.identity, "center": center, "method": request.method.identity()}
    path, overwrite = records.record_path(options.results, *key), request.asked and options.overwrite
    depths = _missing_depths(path, identity, list(options.depths), overwrite, options.overwrite)
    if options.save_runs and not depths and not trec.exist(options.results, key, records.read(path).ndcg10):
        depths = sorted({*options.depths, *_measured_depths(records.read(path))})
    depends_on = [identity["center"], identity["method"], max([*depths, CUT]), depths[-1:]]
    files = artifacts.files(testbed.artifacts, key.center, key.method, depends_on, testbed.shard)
    return Cell(key, request.method, request.center, mean, identity, depths, request, overwrite, files)


def _missing_depths(path: Path, identity: Options, asked: list[int], overwrite: bool, replace: bool) -> list[int]:
    """Depths to measure: none if the record has all that are asked for, else these and those that it has.

    Parameters
    ----------
    overwrite
        Whether the record does not count.
    replace
        Whether a record of other inputs may be replaced: with ``overwrite=true`` also the reference's, but no other.
    """
    if overwrite or not path.exists():
        return asked
    record = records.read(path)
    differs = sorted(key for key in identity if record.identity.get(key) != identity[key])
    if differs and replace:
        return asked
    if differs:
        raise HarnessError(
            f"the record {path} was made with different {', '.join(differs)}: set overwrite=true to replace it, or "
            "model.name (dataset.name) to keep both."
        )
    measured = [] if records.FINAL in record.ndcg10 else [int(depth) for depth in record.ndcg10]
    return [] if has_depths(record, asked) else sorted({*asked, *measured})


class State(Enum):
    """A cell's record, compared with the cell."""

    MISSING = "there is none that the cell would lose"
    DONE = "it has all depths of the cell, from the same inputs"
    STALE = "it has what would be lost if it were replaced: other depths, or other inputs"


def state_of(testbed: Testbed, cell: Cell) -> State:
    """What a cell's record is by now: another process may have measured the cell meanwhile."""
    options = testbed.options
    path = records.record_path(options.results, *cell.key)
    if not path.exists():
        return State.MISSING
    record = records.read(path)
    if record.identity != cell.identity:
        return State.MISSING if options.overwrite else State.STALE
    if has_depths(record, cell.depths):
        if not options.save_runs or trec.exist(options.results, cell.key, record.ndcg10):
            return State.DONE
    deeper = records.FINAL not in record.ndcg10 and not record.ndcg10.keys() <= {str(depth) for depth in cell.depths}
    return State.STALE if deeper else State.MISSING


def has_other_inputs(testbed: Testbed, cell: Cell) -> bool:
    """Whether a cell's record was made from other inputs than the cell, or cannot be read."""
    path = records.record_path(testbed.options.results, *cell.key)
    try:
        return path.exists() and records.read(path).identity != cell.identity
    except HarnessError:
        return True


def has_depths(record: Record, asked: Sequence[int]) -> bool:
    """Whether a record has all rerank depths that are asked for, or its single ranking goes down to them."""
    if records.FINAL in record.ndcg10:
        return bool(record.candidates["asked"] >= max(asked[-1], CUT))
    return {str(depth) for depth in asked} <= record.ndcg10.keys()


def _measured_depths(record: Record) -> list[int]:
    """All depths of a record, or the one that its single ranking goes down to."""
    return [record.candidates["asked"] if depth == records.FINAL else int(depth) for depth in record.ndcg10]
