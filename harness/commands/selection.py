"""What the overrides name of each group, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig

from harness.commands.command import VECTORS
from harness.config import compose, entries, suites, texts
from harness.config.options import results_dir
from harness.config.suites import Units
from harness.system.errors import HarnessError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from harness.records import Record
    from harness.tables import Row


READS = (
    *("model=", "model.path", "model.name", "suite=", "dataset=", "dataset.path", "dataset.name"),
    *("center=", "method=", *VECTORS),
    "experiment",
)
"""The options by which a command chooses among the records."""
_OF_FOLDERS = (["local"], [entries.VECTORS])
"""Entries for folders, whose names are those of the folders."""
_MOST = 12
"""Names that a message lists of one kind."""


class Measured(NamedTuple):
    """What was measured of what the overrides name: `rows` of the table, and `records` of the units and data sets."""

    results: Path
    suite: str
    units: Units
    models: list[str]
    """Those that were named; empty: all."""
    records: list[Record]
    rows: list[Row]

    @property
    def datasets(self) -> list[str]:
        """The columns of a table: data sets, and groups that count as one."""
        return list(self.units)

    def check(self) -> None:
        """Refuse to show a table without any number in it.

        Raises
        ------
        NothingMeasuredError
            If no row has a record; the sentence says what was measured.
        """
        recorded = {(record.model, record.center, record.method) for record in self.records}
        if not any((row.model, row.center, row.method) in recorded for row in self.rows):
            raise nothing(self.datasets, self.models, self.results)


def expand(words: Sequence[str]) -> list[str]:
    """The words with their short forms written out; no data set and no model stay none, which means all."""
    return [word for word in compose.expand(words) if word != "experiment=demo" or word in words]


def measured(overrides: Sequence[str], options: DictConfig, failed_since: bool = True) -> Measured:
    """Read what was measured of what the overrides name, with or without records of cells that failed since."""
    from harness import records, tables  # torch takes seconds to import
    from harness.records import failures

    chosen = names(overrides, options)
    results = results_dir(options.results_dir)
    named = any(chosen[group] for group in ("model", "dataset", "suite"))
    suite, units = datasets(chosen, options) if named else everything(results)
    kept = [
        record
        for record in records.read_all(results, suites.flat(units))
        if failed_since or failures.read(results, record.key) is None
    ]
    found = records.with_groups(kept, units)
    tables.check_consistent(found)
    shown = models(chosen["model"], {record.model for record in found})
    rows = tables.rows_of(found, shown, chosen["center"], chosen["method"])
    return Measured(results, suite, units, chosen["model"], found, rows)


def everything(results: Path) -> tuple[str, Units]:
    """A name for all data sets of which anything was measured, and the units of their mean.

    Raises
    ------
    NothingMeasuredError
        If there are none.
    """
    paths = [*results.glob("records/*/*/*/*.json"), *results.glob("geometry/*/*.json")]
    found = sorted({path.relative_to(results).parts[1] for path in paths})
    if not found:
        raise NothingMeasuredError(
            f"nothing was measured in {results}: use `run` first, or set results_dir to the folder of the records."
        )
    for name in entries.choices("suite"):
        if sorted(suites.flat(units := suites.units(name))) == found:
            return name, units
    return ("all" if len(found) > 1 else found[0]), {name: [name] for name in found}


class NothingMeasuredError(HarnessError):
    """There is no record of what the overrides name."""


def nothing(datasets: Sequence[str], models: Sequence[str], results: Path) -> NothingMeasuredError:
    """What to say where nothing was measured: what there is instead, and the words that show it."""
    wanted = f"nothing was measured on {', '.join(datasets)}{' with ' + _listed(models) if models else ''} in {results}"
    there = [path.relative_to(results / "records").parts for path in results.glob("records/*/*/*/*.json")]
    if not there:
        return NothingMeasuredError(f"{wanted}: use `run` first.")
    known, have = sorted({parts[0] for parts in there}), sorted({parts[1] for parts in there})
    return NothingMeasuredError(
        f"{wanted}; measured were the data sets {_listed(known)} with the models {_listed(have)}: name some of these "
        f"(dataset={known[0]} model={have[0].split('+')[0]}), or no data set and no model to see all."
    )


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence, not too many of them."""
    more = [f"{len(names) - _MOST} more"] if len(names) > _MOST else []
    return ", ".join([*names[:_MOST], *more])


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
            chosen[group] = _local(group, parsed, options) if given in _OF_FOLDERS else given
    return chosen


def _local(group: str, parsed: Sequence[Override], options: DictConfig) -> list[str]:
    """The names of the models or data sets in folders that words name: given, or made from their paths."""
    words = {override.get_key_element(): texts.values(override) for override in parsed}
    named, paths = words.get(f"{group}.name"), words.get(f"{group}.path")
    if named or not paths:
        return [name or options[group].name for name in named or [None]]
    return list(dict.fromkeys(compose.local_name(group, path) for path in paths if path))


def datasets(chosen: dict[str, list[str]], options: DictConfig) -> tuple[str, Units]:
    """A name for the data sets of a table, and the units of their mean: those of a sweep are put together."""
    if chosen["dataset"]:
        return "+".join(chosen["dataset"]), {name: [name] for name in chosen["dataset"]}
    named = chosen["suite"] or [options.suite.name]
    return "+".join(named), {name: members for suite in named for name, members in suites.units(suite).items()}


def models(chosen: Sequence[str], recorded: set[str]) -> list[str]:
    """The chosen models and the recorded variants of each, in that order."""
    return [name for model in chosen for name in [model, *sorted(r for r in recorded if r.startswith(f"{model}+"))]]
