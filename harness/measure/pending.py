"""Which cells have no record with all their depths, draws and measures yet.

A record of other inputs (weights, data, options) is neither believed nor replaced without ``overwrite=true``.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path

from harness import records
from harness.config.entries import entry
from harness.config.measures import Measure
from harness.config.options import RunOptions
from harness.config.seeds import Seeds
from harness.evaluation import trec
from harness.evaluation.ndcg import CUT
from harness.measure import artifacts
from harness.measure.artifacts import CellFiles
from harness.measure.cells import Cell, Options, Request
from harness.measure.grouping import keys_of
from harness.measure.query_mean import QueryMean
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.records import CellKey, Record, failures
from harness.system.errors import HarnessError

log = logging.getLogger(__name__)
EXACT = "exact"
"""The method whose ranking is that of MaxSim."""


def pending(testbed: Testbed, requests: Sequence[Request]) -> list[Cell]:
    """The cells that have no record with all that is asked for yet; a cell that cannot be planned is a failure.

    Exact search is among them if a cell is compared with it.
    """
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
    return with_exact(testbed, [cell for cell in cells.values() if cell.depths])


def with_exact(testbed: Testbed, cells: list[Cell]) -> list[Cell]:
    """Cells to be measured, and exact search, if one of them is compared with it."""
    if not any(cell.needs_exact for cell in cells) or any(cell.exhaustive for cell in cells):
        return cells
    request = Request.of(entry("method", EXACT), entry("center", "none"), asked=False)
    title = f"{testbed.dataset_name}  {request.method.name}"
    with testbed.failures.collect(testbed.options.results, keys_of(testbed.options, [request]), title):
        return [*cells, plan(testbed, request, is_needed=True)]
    return cells


def plan(testbed: Testbed, request: Request, is_needed: bool = False) -> Cell:
    """The cell of a request; without depths if its record has all that is asked for, unless its ranking `is_needed`.

    Raises
    ------
    HarnessError
        If its record was made from other inputs, or its name cannot be a file's.
    """
    options = testbed.options
    mean = testbed.query_mean(request.center)
    center = request.center.identity(mean.sha256 if mean else None)
    method = registry.make(request.method.given)
    teachers = testbed.teachers(method)
    inputs = {**method.inputs(options.models_dir), **({"teachers": teachers.sha256} if teachers else {})}
    own = {"method_inputs": inputs} if inputs else {}
    identity = {**testbed.identity, "center": center, "method": request.method.identity(), **own}
    return completed(testbed, request, mean, identity, is_needed)


def completed(
    testbed: Testbed, request: Request, mean: QueryMean | None, identity: Options, is_needed: bool = False
) -> Cell:
    """The cell of a request with a given identity: all that is asked for, and all that its record has (see `plan`).

    Raises
    ------
    HarnessError
        If its record was made from other inputs.
    """
    options, key = testbed.options, request.key(testbed.dataset_name, testbed.model_name)
    path, overwrite = records.record_path(options.results, *key), request.asked and options.overwrite
    known = None if overwrite else known_record(path, identity, options.overwrite)
    depths, seeds, measures = list(options.depths), request.method.seeds, options.measures
    if known:
        if has_all(known, depths, seeds, measures) and not _lacks_runs(options, known) and not is_needed:
            depths = []  # nothing is missing
        else:  # what it has is measured again, so that the new record has it, too
            depths, seeds = sorted({*depths, *_measured_depths(known)}), _together(seeds, known.draw_seeds)
            measures = tuple(dict.fromkeys([*map(Measure.of, known.measures), *measures]))
    files = _files(testbed, key, identity, depths)
    cell = Cell(key, request.method, request.center, mean, identity, depths, measures, request, overwrite, files)
    if seeds == (request.method.given.get("seed"),):
        return cell
    return replace(cell, draws=tuple(_draw(testbed, cell, seed) for seed in seeds))


def _draw(testbed: Testbed, cell: Cell, seed: int | None) -> Cell:
    """A cell with a seed of its own, and the artifacts that it has as a cell of a single draw."""
    method = cell.method.drawn(seed)
    identity = {**cell.identity, "method": method.identity()}
    return replace(cell, method=method, files=_files(testbed, cell.key, identity, cell.depths))


def _files(testbed: Testbed, key: CellKey, identity: Options, depths: Sequence[int]) -> CellFiles:
    own = [identity["method_inputs"]] if "method_inputs" in identity else []
    depends_on = [identity["center"], identity["method"], *own, max([*depths, CUT]), [*depths[-1:]]]
    return artifacts.files(testbed.artifacts, key.center, key.method, depends_on, testbed.shard)


def known_record(path: Path, identity: Options, may_replace: bool) -> Record | None:
    """A cell's record; None if there is none that counts.

    Parameters
    ----------
    may_replace
        Whether a record of other inputs may be replaced: with ``overwrite=true`` also the reference's, but no other.

    Raises
    ------
    HarnessError
        If it was made from other inputs and may not be replaced.
    """
    if not path.exists():
        return None
    record = records.read(path)
    differs = sorted(key for key in identity if record.identity.get(key) != identity[key])
    if differs and not may_replace:
        raise HarnessError(
            f"the record {path} was made with different {', '.join(differs)}: set overwrite=true to replace it, or "
            "model.name (dataset.name) to keep both."
        )
    return None if differs else record


class State(Enum):
    """A cell's record, compared with the cell."""

    MISSING = "there is none that the cell would lose"
    DONE = "it has all depths, draws and measures of the cell, from the same inputs"
    STALE = "it has what would be lost if it were replaced: other depths, draws or measures, or other inputs"


def state_of(testbed: Testbed, cell: Cell) -> State:
    """What a cell's record is by now: another process may have measured the cell meanwhile."""
    options = testbed.options
    path = records.record_path(options.results, *cell.key)
    if not path.exists():
        return State.MISSING
    record = records.read(path)
    if record.identity != cell.identity:
        return State.MISSING if options.overwrite else State.STALE
    if has_all(record, cell.depths, cell.seeds, cell.measures) and not _lacks_runs(options, record):
        return State.DONE
    more_depths = records.FINAL not in record.ndcg10 and not record.ndcg10.keys() <= {str(d) for d in cell.depths}
    more_measures = not record.measures.keys() <= {measure.name for measure in cell.measures}
    more_draws = not {*record.draw_seeds} <= {*cell.seeds}
    return State.STALE if more_depths or more_measures or more_draws else State.MISSING


def has_other_inputs(testbed: Testbed, cell: Cell) -> bool:
    """Whether a cell's record was made from other inputs than the cell, or cannot be read."""
    path = records.record_path(testbed.options.results, *cell.key)
    try:
        return path.exists() and records.read(path).identity != cell.identity
    except HarnessError:
        return True


def has_all(record: Record, depths: Sequence[int], seeds: Seeds, measures: Collection[Measure]) -> bool:
    """Whether a record has all rerank depths, draws and measures that are asked for.

    A single ranking counts for a depth if it goes down to it.
    """
    if not {*seeds} <= {*record.draw_seeds} or not {measure.name for measure in measures} <= record.measures.keys():
        return False
    if records.FINAL in record.ndcg10:
        return bool(record.candidates["asked"] >= max(depths[-1], CUT))
    return {str(depth) for depth in depths} <= record.ndcg10.keys()


def _together(seeds: Seeds, others: Seeds) -> Seeds:
    """All of the seeds, ascending; None, of a method without random numbers, is alone."""
    return tuple(sorted({*seeds, *others}, key=lambda seed: seed or 0))


def _lacks_runs(options: RunOptions, record: Record) -> bool:
    """Whether run files of a record are asked for, and one does not exist."""
    draws = record.draws.seeds or (None,)
    return options.save_runs and not trec.exist(options.results, record.key, record.ndcg10, draws)


def _measured_depths(record: Record) -> list[int]:
    """All depths of a record, or the one that its single ranking goes down to."""
    return [record.candidates["asked"] if depth == records.FINAL else int(depth) for depth in record.ndcg10]
