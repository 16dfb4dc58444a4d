"""What the overrides name of each group, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig

from harness.config import compose, entries
from harness.system.errors import HarnessError

if TYPE_CHECKING:
    from harness.records import Record
    from harness.tables import Row


class Measured(NamedTuple):
    """What was measured of what the overrides name: `rows` of the table, and `records` of the data sets."""

    results: Path
    suite: str
    datasets: list[str]
    models: list[str]
    """Those that were named; empty: all."""
    record: list[Record]
    rows: list[Row]


def measured(overrides: Sequence[str], options: DictConfig) -> Measured:
    """Read what was measured of what the overrides name."""
    from harness import records, tables
    from harness.config.options import results_dir  # torch and PyLate take seconds to import

    chosen = names(overrides, options)
    results = results_dir(options.results_dir)
    suite, members = datasets(chosen, options)
    found = list(records.read_all(results, members))
    tables.check_consistent(found)
    shown = models(chosen["model"], {record.model for record in found})
    rows = tables.rows_of(found, shown, chosen["center"], chosen["method"])
    return Measured(results, suite, members, chosen["model"], found, rows)


class NothingMeasuredError(HarnessError):
    """There is no record of what the overrides name."""


def nothing(datasets: Sequence[str], results: Path) -> NothingMeasuredError:
    """What to say where nothing was."""
    return NothingMeasuredError(f"nothing was measured on {', '.join(datasets)} in {results}: use `run` first.")


def names(overrides: Sequence[str], options: DictConfig) -> dict[str, list[str]]:
    """What the overrides (or the experiment's sweep) name of each group; empty: all, or the default."""
    chosen: dict[str, list[str]] = {group: [] for group in entries.GROUPS if group != "experiment"}
    parsed = compose.parse(overrides)
    experiments = [
        name for override in parsed if override.key_or_group == "experiment" for name in compose.values(override)
    ]
    for name in experiments:
        sweep = (entries.entry("experiment", name).get("hydra") or {}).get("sweeper", {}).get("params", {})
        for group in chosen.keys() & sweep.keys():
            chosen[group] = [value.strip() for value in str(sweep[group]).split(",")]
    if experiments and not chosen["suite"]:
        chosen["suite"] = [options.suite.name]
    for override in parsed:
        group = override.key_or_group
        if group in chosen:
            given = [name for name in compose.values(override) if name != "null"]
            chosen[group] = [options[group].name] if given == ["local"] else given
    return chosen


def datasets(chosen: dict[str, list[str]], options: DictConfig) -> tuple[str, list[str]]:
    """A name for the data sets of a table, and their names: those of a sweep are put together."""
    if chosen["dataset"]:
        return "+".join(chosen["dataset"]), chosen["dataset"]
    suites = chosen["suite"] or [options.suite.name]
    together = dict.fromkeys(name for suite in suites for name in entries.entry("suite", suite)["datasets"])
    return "+".join(suites), list(together)


def models(chosen: Sequence[str], recorded: set[str]) -> list[str]:
    """The chosen models and the recorded variants of each, in that order."""
    return [name for model in chosen for name in [model, *sorted(r for r in recorded if r.startswith(f"{model}+"))]]
