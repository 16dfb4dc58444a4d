"""Units: what one of several workers does of a sweep, in three waves.

    encode     help to encode a corpus, until no chunk of it is left for anybody
    search     the candidates of one method's cells whose documents are encoded alike
    measure    MaxSim of all candidates of a (model, data set), and its records

A wave begins when the one before it has ended. Workers share nothing but the cache, where each finds what the others
have done (`harness.stages`, `harness.store_build`): so results do not depend on who did what, and what a worker that
was killed left undone is done by a later unit, at the latest by the one that measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from omegaconf import DictConfig

from harness import failures as failed
from harness import locks, records, run
from harness.failures import Names
from harness.plan import Cell, Choice, Options, alike, by_model, has_depths, results_dir, selected
from harness.shards import CHUNK
from harness.subject import Subject

ENCODE, SEARCH, MEASURE = STEPS = ("encode", "search", "measure")
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
    choices: list[Choice]
    names: list[Names]

    @property
    def title(self) -> str:
        """What it does, for messages."""
        return f"{self.step} {self.names[0][0]}  {self.names[0][1]}"


def planned(configs: Sequence[DictConfig], failures: list[str]) -> dict[str, list[Unit]]:
    """The units of each wave; `failures` gets a sentence for each cell that cannot be planned."""
    waves: dict[str, list[Unit]] = {step: [] for step in STEPS}
    for options, chosen in by_model(configs):
        for dataset in selected(options):
            noted = partial(run.noting, failures, results_dir(options["results_dir"]))
            with noted(*run.title_and_names(options, dataset, chosen)):
                subject = Subject(options, dataset)
                for unit in _of(subject, run.unfinished(subject, chosen, noted)):
                    waves[unit.step].append(unit)
    return waves


def _of(subject: Subject, cells: list[Cell]) -> list[Unit]:
    """The units of one (model, data set)."""

    def unit(step: str, some: list[Cell]) -> Unit:
        choices, names = [cell.choice for cell in some], [cell.names for cell in some]
        config = {**subject.config, "progress": False}  # the bars of several workers in one terminal are a muddle
        return Unit(step, config, subject.dataset_options, choices, names)

    if not cells:
        return []
    chunks = -(-len(subject.rows) // CHUNK)
    helpers = 0 if subject.is_encoded or not subject.shard.is_whole else min(chunks, _HELPERS)
    searches = [] if subject.config["overwrite"] else alike(cells)  # what counts only if made anew is made once
    return [
        *(unit(ENCODE, cells) for _ in range(helpers)),
        *(unit(SEARCH, some) for some in searches),
        unit(MEASURE, cells),
    ]


def do(unit: Unit, threads: int) -> None:
    """Do a unit's work; what fails is kept for its cells (`harness.failures`).

    Parameters
    ----------
    threads
        A worker's share, where the option ``threads`` names no number.
    """
    torch.set_num_threads(unit.options["threads"] or threads)
    noted = partial(run.noting, [], results_dir(unit.options["results_dir"]))
    with noted(unit.title, unit.names):
        subject = Subject(unit.options, unit.dataset)
        with locks.measuring(subject.cache, subject.dataset_name, subject.model_name):
            if unit.step == ENCODE:
                subject.help_encode()
            elif unit.step == SEARCH:
                run.search(subject, run.unfinished(subject, unit.choices, noted))
            else:
                run.measure(subject, unit.choices)


def undone(units: Sequence[Unit]) -> list[str]:
    """A sentence for each cell that has no complete record though its units have ended."""
    cells = {names: unit.options for unit in units for names in unit.names}
    return [f"{'  '.join(names)}: {text}" for names, options in cells.items() if (text := _left(names, options))]


def _left(names: Names, options: Options) -> str | None:
    results = results_dir(options["results_dir"])
    path = records.record_path(results, *names)
    if text := failed.read(results, names):
        return text
    if path.exists() and has_depths(records.read(path), options["depths"]):
        return None
    return "its worker ended before it was measured (was it killed, or out of memory?): run again to go on from there."
