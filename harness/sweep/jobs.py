"""Units: what one of several workers does of a sweep, in three waves.

    encode     help to encode a corpus, until no chunk of it is left for anybody
    search     the candidates of one method's cells whose documents are encoded alike
    measure    MaxSim of all candidates of a (model, data set), and its records

A wave begins when the one before it has ended. Workers share nothing but the cache, where each finds what the others
have done (`harness.measure.artifacts`, `harness.vectors.build`): so results do not depend on who did what, and what a worker that
was killed left undone is done by a later unit, at the latest by the one that measures. Whether a cell was measured, its
record says (`Goal`), not the worker.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig

from harness import records, run
from harness.config.shards import CHUNK, parse
from harness.measure import artifacts
from harness.measure.artifacts import Files
from harness.measure.cells import Cell, Options, Request
from harness.measure.grouping import alike, by_model, selected
from harness.measure.pending import is_measured
from harness.measure.testbed import Testbed
from harness.records import failures as failed
from harness.records import results_dir
from harness.records.failures import Names
from harness.system import locks
from harness.system.errors import HarnessError

log = logging.getLogger(__name__)
ENCODE, SEARCH, MEASURE = STEPS = ("encode", "search", "measure")
PATHS = ("cache_dir", "results_dir", "models_dir", "data_dir")
_HELPERS = 16  # at most, of one corpus: each takes chunk after chunk, so that fewer workers do it as well


@dataclass(frozen=True)
class Unit:
    """A piece of work on one (model, data set).

    Attributes
    ----------
    step : one of `STEPS`
    names : of the cells it works for
    """

    step: str
    options: Options
    dataset: Options
    requests: list[Request]
    names: list[Names]

    @property
    def title(self) -> str:
        """What it does, for messages."""
        return f"{self.step} {self.names[0][0]}  {self.names[0][1]}"


@dataclass(frozen=True)
class Goal:
    """What a unit is to measure: a cell, or its part on a shard.

    Attributes
    ----------
    kept : of a shard, where its stages may be: there is a place for each kind of device, which is the worker's
    before : the states of its record, and of the last file of each of `kept`, when it was planned
    """

    unit: Unit
    cell: Cell
    kept: list[Files]
    before: list[State]

    @classmethod
    def of(cls, unit: Unit, cell: Cell, testbed: Testbed) -> Goal:
        """A goal as it is now, when nothing of it has been done."""
        failed.clear(results_dir(unit.options["results_dir"]), cell.names)  # that it failed before says nothing now
        place = cell.files.base.relative_to(testbed.stages)
        kept = [] if testbed.shard.is_whole else [Files(folder / place) for folder in testbed.stages_anywhere]
        return cls(unit, cell, kept, _states(unit.options, cell, kept))

    @property
    def is_reached(self) -> bool:
        """Whether it is there; made anew, if that was asked for."""
        options, cell, shard = self.unit.options, self.cell, parse(self.unit.options["shard"])
        now = _states(options, cell, self.kept)
        of_record, *of_kept = [not cell.anew or new != old for new, old in zip(now, self.before, strict=True)]
        if not shard.is_whole:
            there = [one for one, is_new in zip(self.kept, of_kept, strict=True) if is_new and _can_be_read(one, cell)]
            if not there:
                return False
            if not any(all(of.are_there(cell.whole) for of in artifacts.of_shards(one, shard)) for one in there):
                return True  # not the last one, which makes the record
        try:
            return of_record and is_measured(options, cell)
        except HarnessError:  # the record is damaged: whoever tries to measure the cell says so
            return False

    @property
    def failure(self) -> str | None:
        """What it failed with; None if nobody says."""
        return failed.read(results_dir(self.unit.options["results_dir"]), self.cell.names)


def _can_be_read(one: Files, cell: Cell) -> bool:
    """Whether a shard's stages are there, and no other's; of damaged ones, whoever tries to measure says so."""
    try:
        artifacts.read(one, cell.whole)
    except HarnessError:
        return False
    return True


State = tuple[int, int] | None
"""Of a file: another after it was written again; None where there is none."""


def _states(options: Options, cell: Cell, kept: Sequence[Files]) -> list[State]:
    record = records.record_path(results_dir(options["results_dir"]), *cell.names)
    return [_state(record), *(_state(one.candidates if cell.whole else one.maxsim) for one in kept)]


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def planned(configs: Sequence[DictConfig], failures: list[str]) -> tuple[dict[str, list[Unit]], list[Goal]]:
    """The units of each wave, and what they are to reach.

    Parameters
    ----------
    failures
        Gets a sentence for each cell that cannot be planned.
    """
    waves: dict[str, list[Unit]] = {step: [] for step in STEPS}
    goals: list[Goal] = []
    for options, chosen in by_model(configs):
        for dataset in selected(options):
            noted = partial(run.noting, failures, results_dir(options["results_dir"]))
            with noted(*run.title_and_names(options, dataset, chosen)):
                testbed = Testbed(options, dataset)
                if not (cells := run.unfinished(testbed, chosen, noted)):
                    continue
                for unit in _of(testbed, cells):
                    waves[unit.step].append(unit)
                goals += [Goal.of(waves[MEASURE][-1], cell, testbed) for cell in cells]
    return waves, goals


def _of(testbed: Testbed, cells: list[Cell]) -> list[Unit]:
    """The units of one (model, data set); the last one measures."""
    config = {**_absolute(testbed.config, *PATHS), "model": _absolute(testbed.config["model"], "path", "head")}
    config["progress"] = False  # the bars of several workers in one terminal are a muddle
    dataset = _absolute(testbed.dataset_options, "path")

    def unit(step: str, some: list[Cell]) -> Unit:
        return Unit(step, config, dataset, [cell.request for cell in some], [cell.names for cell in some])

    chunks = -(-len(testbed.rows) // CHUNK)
    helpers = 0 if testbed.is_encoded or not testbed.shard.is_whole else min(chunks, _HELPERS)
    searches = [some for some in alike(cells) if not all(cell.files.candidates.exists() for cell in some)]
    if testbed.config["overwrite"]:
        searches = []  # what counts only if it is made anew is made once, where it counts
        log.info("overwrite=true: all cells of %s, %s are one worker's", testbed.dataset_name, testbed.model_name)
    return [
        *(unit(ENCODE, cells) for _ in range(helpers)),
        *(unit(SEARCH, some) for some in searches),
        unit(MEASURE, cells),
    ]


def _absolute(options: Options, *names: str) -> Options:
    """Options whose paths are those of this process also where a worker has another folder to begin with."""
    paths = {name: Path(options[name]).expanduser() for name in names if options.get(name)}
    return {**options, **{name: str(path.absolute()) for name, path in paths.items() if path.exists()}}


@contextmanager
def announced(goals: Sequence[Goal]) -> Iterator[None]:
    """Say for the time of a block that their cells are being measured, also while no worker is at work."""
    with ExitStack() as stack:
        for cache, *testbed in sorted({(goal.unit.options["cache_dir"], *goal.cell.names[:2]) for goal in goals}):
            stack.enter_context(locks.measuring(Path(cache).expanduser(), *testbed))
        yield


def do(unit: Unit, threads: int) -> None:
    """Do a unit's work; what fails is kept for its cells (`harness.records.failures`).

    Parameters
    ----------
    threads
        A worker's share, where the option ``threads`` names no number.
    """
    torch.set_num_threads(unit.options["threads"] or threads)
    noted = partial(run.noting, [], results_dir(unit.options["results_dir"]))
    with noted(unit.title, unit.names):
        testbed = Testbed(unit.options, unit.dataset)
        with locks.measuring(testbed.cache, testbed.dataset_name, testbed.model_name):
            if unit.step == ENCODE:
                testbed.help_encode()
            elif unit.step == SEARCH:
                for some in alike(run.unfinished(testbed, unit.requests, noted)):  # as they are by now
                    run.search(testbed, some, noted)
            else:
                run.measure(testbed, unit.requests)


def undone(goals: Sequence[Goal]) -> list[Unit]:
    """Units for the goals that nobody has reached and that nobody says have failed."""
    left: dict[int, list[Goal]] = {}
    for goal in goals:
        if not goal.is_reached and not goal.failure:
            left.setdefault(id(goal.unit), []).append(goal)
    return [
        replace(some[0].unit, requests=[goal.cell.request for goal in some], names=[goal.cell.names for goal in some])
        for some in left.values()
    ]


def missed(goals: Sequence[Goal]) -> list[str]:
    """A sentence for each goal that was not reached though the units have ended."""
    killed = (
        "its worker ended before it was measured (was it killed, or out of memory?): run again to go on from there."
    )
    return [f"{'  '.join(goal.cell.names)}: {goal.failure or killed}" for goal in goals if not goal.is_reached]
