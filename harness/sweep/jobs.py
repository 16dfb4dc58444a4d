"""Jobs: the pieces of a sweep that workers do, in three waves.

    encode     encode a corpus, chunk by chunk, together with other jobs
    search     find the candidates for the cells of one method that share their documents
    measure    compute MaxSim of all candidates of a (model, data set), and write its records

A wave begins when the wave before it has ended. Workers share nothing but the cache, where each finds the artifacts of
the others (`harness.measure.artifacts`, `harness.vectors.build`). So results do not depend on which worker did which
job, and a later job does what a killed worker left undone, at the latest the job that measures. Whether a cell was
measured is determined by its record (`Goal`), not by what the worker reports.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig

from harness import records, run
from harness.config.entries import choices
from harness.config.options import RunOptions
from harness.config.shards import CHUNK
from harness.measure import artifacts, results
from harness.measure.artifacts import CellFiles
from harness.measure.cells import Cell, Options, Request, draws_of
from harness.measure.failing import Failures
from harness.measure.grouping import by_testbed, share_documents
from harness.measure.pending import State, pending, state_of
from harness.measure.preflight import usable
from harness.measure.testbed import Testbed
from harness.records import CellKey, failures
from harness.system import locks
from harness.system.errors import HarnessError
from harness.system.paths import user_path

log = logging.getLogger(__name__)
ENCODE, SEARCH, MEASURE = STEPS = ("encode", "search", "measure")
PATHS = ("cache_dir", "results_dir", "models_dir", "data_dir")
_HELPERS = 16  # at most this many jobs encode one corpus; fewer workers do all of it, too, chunk after chunk


@dataclass(frozen=True)
class Job:
    """A piece of work on one (model, data set).

    Attributes
    ----------
    step : one of `STEPS`
    options : those of the run, with absolute paths
    requests, keys : the cells that it works for
    """

    step: str
    options: RunOptions
    requests: list[Request]
    keys: list[CellKey]

    @property
    def title(self) -> str:
        """Its step, data set and model, for messages."""
        return f"{self.step} {self.keys[0].dataset}  {self.keys[0].model}"


Copy = list[CellFiles]
"""The artifacts of a cell's draws on one shard."""
FileState = tuple[int, int] | None
"""(inode, mtime in ns) of a file, to notice a rewrite; None if it does not exist."""


@dataclass(frozen=True)
class Goal:
    """The result that a job must reach: a cell's record, or a shard's artifacts.

    Attributes
    ----------
    testbed : the testbed of the process that plans, for the places of records and artifacts
    copies : the places where a shard's artifacts may appear (of each draw), one for each type of device, as only the
        worker knows its device; empty for a full corpus
    before : the states of the record, and of the last file of each of `copies`, at the time of planning
    """

    job: Job
    cell: Cell
    testbed: Testbed
    copies: list[Copy]
    before: list[list[FileState]]

    @classmethod
    def of(cls, job: Job, cell: Cell, testbed: Testbed) -> Goal:
        """A goal with the present states of its files, before any job of it has begun."""
        failures.clear(testbed.options.results, cell.key)  # the failure belongs to an earlier run
        places = [draw.files.base.relative_to(testbed.artifacts) for draw in cell.each_draw]
        folders = [] if testbed.shard.is_full else testbed.artifacts_anywhere
        copies = [[CellFiles(folder / place) for place in places] for folder in folders]
        return cls(job, cell, testbed, copies, _states(testbed, cell, copies))

    @property
    def is_reached(self) -> bool:
        """Whether its result exists; with ``overwrite=true``, only if it was written after planning."""
        cell, shard, now = self.cell, self.testbed.shard, _states(self.testbed, self.cell, self.copies)
        record_counts, *counts = [
            not cell.overwrite or _all_differ(new, old) for new, old in zip(now, self.before, strict=True)
        ]
        if not shard.is_full:
            written = [
                copy for copy, is_new in zip(self.copies, counts, strict=True) if is_new and _is_readable(copy, cell)
            ]
            if not written:
                return False
            if not any(_is_last(copy, cell, self.testbed) for copy in written):
                return True  # the last shard writes the record
        try:
            return record_counts and state_of(self.testbed, cell) is State.DONE
        except HarnessError:  # the process that measures the cell reports a damaged record
            return False

    @property
    def failure(self) -> str | None:
        """The error with which its cell failed; None if no worker has noted a failure."""
        return failures.read(self.testbed.options.results, self.cell.key)


def _is_last(copy: Copy, cell: Cell, testbed: Testbed) -> bool:
    """Whether all shards of a cell have their artifacts in the folder of these."""
    parts = [part for files in copy for part in artifacts.of_shards(files, testbed.shard)]
    return all(part.exist(cell.end_to_end) for part in parts)


def _is_readable(copy: Copy, cell: Cell) -> bool:
    """Whether a shard's artifacts exist and are undamaged; damaged ones are reported by the process that uses them."""
    try:
        for files in copy:
            results.read(files, cell.end_to_end)
    except HarnessError:
        return False
    return True


def _states(testbed: Testbed, cell: Cell, copies: Sequence[Copy]) -> list[list[FileState]]:
    """The states of a cell's record, and of the last files of each copy of its artifacts."""
    record = records.record_path(testbed.options.results, *cell.key)
    last = [[files.candidates if cell.end_to_end else files.maxsim for files in copy] for copy in copies]
    return [[_state(path) for path in paths] for paths in [[record], *last]]


def _all_differ(new: Sequence[FileState], old: Sequence[FileState]) -> bool:
    return all(now != before for now, before in zip(new, old, strict=True))


def _state(path: Path) -> FileState:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def plan(configs: Sequence[DictConfig], noted: Failures) -> tuple[dict[str, list[Job]], list[Goal]]:
    """The jobs of each wave, and their goals; cells that cannot be planned are added to the failures `noted`."""
    waves: dict[str, list[Job]] = {step: [] for step in STEPS}
    goals: list[Goal] = []
    for options, requests in usable(by_testbed(configs), noted):
        with noted.collect_all(options, requests):
            testbed = Testbed(options, noted)
            cells = pending(testbed, [_placed(request) for request in requests])
            if not cells:
                continue
            for job in _jobs(testbed, cells):
                waves[job.step].append(job)
            goals += [Goal.of(waves[MEASURE][-1], cell, testbed) for cell in cells]
    return waves, goals


def _jobs(testbed: Testbed, cells: list[Cell]) -> list[Job]:
    """The jobs of one (model, data set); the last job measures."""
    given = testbed.options.given
    absolute = {**_absolute(given, *PATHS), "model": _absolute(given["model"], "path", "head")}
    absolute["progress"] = False  # the bars of several workers in one terminal are a muddle
    options = RunOptions.of(absolute, _absolute(testbed.options.dataset, "path"))

    def job(step: str, group: Sequence[Cell]) -> Job:
        return Job(step, options, [cell.request for cell in group], [cell.key for cell in group])

    chunks = -(-len(testbed.rows) // CHUNK)
    encodes = testbed.shard.is_full and any(cell.needs_tokens for cell in cells) and not testbed.is_encoded
    helpers = min(chunks, _HELPERS) if encodes else 0
    searches = [
        group for group in share_documents(draws_of(cells)) if not all(cell.files.candidates.exists() for cell in group)
    ]
    if options.overwrite:
        searches = []  # only the job that measures computes again, so that nothing is computed twice
        log.info("overwrite=true: one worker measures all cells of %s, %s", testbed.dataset_name, testbed.model_name)
    return [
        *(job(ENCODE, cells) for _ in range(helpers)),
        *(job(SEARCH, group) for group in searches),
        job(MEASURE, cells),
    ]


def _placed(request: Request) -> Request:
    """A request with the absolute path of its method's own model, if that is a folder and no entry of conf/encoder."""
    given = request.method.given
    if given.get("model") in choices("encoder"):
        return request
    return replace(request, method=replace(request.method, given=_absolute(given, "model")))


def _absolute(options: Options, *names: str) -> Options:
    """Options with absolute paths, which a worker with another current folder understands."""
    paths = {name: user_path(options[name]) for name in names if options.get(name)}
    return {**options, **{name: str(path.absolute()) for name, path in paths.items() if path.exists()}}


@contextmanager
def announced(goals: Sequence[Goal]) -> Iterator[None]:
    """Announce that the goals' cells are being measured, for as long as the block runs, also between two waves."""
    with ExitStack() as stack:
        for cache, *names in sorted({(goal.job.options.cache, *goal.cell.key[:2]) for goal in goals}):
            stack.enter_context(locks.measuring(cache, *names))
        yield


def do(job: Job, threads: int) -> None:
    """Do a job's work; failures are noted for its cells (`harness.measure.failing`).

    Parameters
    ----------
    threads
        A worker's share of the cores, which is used if the option ``threads`` is null.
    """
    noted = Failures()
    with noted.collect(job.options.results, job.keys, job.title):
        with Testbed.open(replace(job.options, threads=job.options.threads or threads), noted) as testbed:
            if job.step == ENCODE:
                testbed.help_encode()
            elif job.step == SEARCH:
                cells = pending(testbed, job.requests)  # another worker may have done a part
                for group in share_documents(draws_of(cells)):
                    with testbed.collect(group):
                        run.find_candidates(testbed, group)
            else:
                run.measure(testbed, job.requests)


def undone(goals: Sequence[Goal]) -> list[Job]:
    """Jobs for the goals that were not reached and that have no noted failure."""
    left: dict[int, list[Goal]] = {}
    for goal in goals:
        if not goal.is_reached and not goal.failure:
            left.setdefault(id(goal.job), []).append(goal)
    return [
        replace(group[0].job, requests=[goal.cell.request for goal in group], keys=[goal.cell.key for goal in group])
        for group in left.values()
    ]


def missed(goals: Sequence[Goal]) -> list[str]:
    """A sentence for each goal that was not reached although the jobs have ended."""
    killed = "its worker ended before it was measured (was it killed, or out of memory?): run again to resume."
    return [f"{goal.cell.title}: {goal.failure or killed}" for goal in goals if not goal.is_reached]
