"""The command that measures a cell, made from the options in its record."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.config import entries, suites
from harness.config.texts import SINGLE, SWEPT, written
from harness.methods.registry import is_centered
from harness.records import FINAL, FOREIGN, NO_MODEL, Record
from harness.tables import Row

NOT_IN_COMMAND = ("name", "title", "known_weights", "files")
"""Options that follow from the entry's name, or are for display only."""
HEAD = "head.safetensors"
"""The name that `train` gives to the file of a head (`harness.training.folder`)."""
Options = dict[str, Any]


class Commands:
    """The commands of a table. A cell that was not measured takes its options from other records of its row or model.

    Parameters
    ----------
    records
        The records of the data sets.
    suite, datasets
        Name of the data sets together, and their names.
    results
        The folder of the records. Commands name it if it is inside the checkout and not ``results``; a folder elsewhere
        means nothing to other readers.
    """

    def __init__(
        self, records: Sequence[Record], suite: str, datasets: Sequence[str], results: Path = entries.ROOT / "results"
    ) -> None:
        self.suite, self.datasets = suite, datasets
        other = results.is_relative_to(entries.ROOT) and results != entries.default_results()
        self._place = [f"results_dir={results.relative_to(entries.ROOT).as_posix()}"] if other else []
        self._found = {(Row(r.model, r.center, r.method), r.dataset): r for r in records}
        self._rows = {row: record for (row, _), record in self._found.items()}
        self._models = {record.model: record for record in reversed(records)}
        self._datasets = {record.dataset: record for record in reversed(records)}
        text = (entries.CONF_DIR / "config.yaml").read_text(encoding="utf-8")
        self._depths: list[int] = yaml.safe_load(text)["depths"]

    def of_cell(self, row: Row, dataset: str) -> str:
        """The command that measures a row on one data set."""
        record = self._found.get((row, dataset))
        if record and record.is_foreign:
            return _line([*_score(record), *self._data(dataset), *self._model(row, record), *self._place], "score")
        return _line([*self._data(dataset), *self._options(row, dataset), *self._place])

    def of_row(self, row: Row) -> str | None:
        """The command that measures a row on all data sets; None if no single command does."""
        if len(self.datasets) == 1:
            return self.of_cell(row, self.datasets[0])
        if row.method.startswith(FOREIGN):  # a file for each data set
            return None
        options = [self._options(row, name) for name in self.datasets]
        if any(other != options[0] for other in options) or any(
            self._data(name) not in ([f"dataset={name}"], [f"suite={name}"]) for name in self.datasets
        ):
            return None
        known = self.suite in entries.choices("suite")
        known = known and entries.entry("suite", self.suite)["datasets"] == list(self.datasets)
        members = [member for name in self.datasets for member in suites.members(name)]
        data = [f"suite={self.suite}"] if known else ["-m", f"dataset={','.join(members)}"]
        return _line([*data, *options[0], *self._place])

    def _data(self, name: str) -> list[str]:
        options = _options(self._datasets.get(name), "dataset", name)
        if options == {"name": name} and suites.is_group(name):
            return [f"suite={name}"]
        return _words("dataset", options)

    def _options(self, row: Row, dataset: str) -> list[str]:
        """All words except those of the data set."""
        record = self._found.get((row, dataset)) or self._rows.get(row)
        words = self._model(row, record)
        if is_centered(row.method):
            words += _words("center", _options(record, "center", row.center))
        method = _options(record, "method", row.method)
        words += _words("method", method)
        if method.get("index"):
            words += _words("index", method["index"])
        return [*words, *self._depth_words(record)]

    def _model(self, row: Row, record: Record | None) -> list[str]:
        if row.model == NO_MODEL:
            return []
        return _words("model", _options(record or self._models.get(row.model), "model", row.model))

    def _depth_words(self, record: Record | None) -> list[str]:
        """The word for the depths, if they are not those of conf/config.yaml."""
        if record is None:
            return []
        depths = sorted(map(int, record.ndcg10.keys() - {FINAL})) or record.config.get("depths", self._depths)
        return [] if depths == self._depths else [f"depths={_value(depths)}"]


def _options(record: Record | None, group: str, name: str) -> Options:
    """The options of a group with which a cell was measured; without a record, the name of the entry alone."""
    found = record.config.get(group) if record else None
    if found and group == "model" and found.get("head") == HEAD:  # `train` names every head so; their folders differ
        found = {**found, "head": f"{name.rpartition('head=')[2]}/{HEAD}"}
    return found or {"name": name.split("+")[0]}


def _words(group: str, options: Options) -> list[str]:
    """Words for the entry of conf/ or the folder's path, and for each option that differs from the entry."""
    name = options["name"]
    known = name in entries.choices(group)
    base = name if known else entries.entry_of_folder(options)
    shipped = entries.entry(group, base) if known or group in ("model", "dataset") else {}
    changed = {
        key: value
        for key, value in sorted(options.items())
        if key in shipped and key not in NOT_IN_COMMAND and value != shipped[key]
    }
    if known or not shipped:
        first = [f"{group}={name}"]
    else:
        first = [] if changed.get("path") and base == "local" else [f"{group}={base}"]
        changed |= {} if changed.get("path") == name else {"name": name}
    return [*first, *(_word(f"{group}.{key}", value) for key, value in changed.items())]


def _word(option: str, value: Any) -> str:
    is_text = isinstance(value, str) and option in SINGLE | SWEPT
    return written(option, value) if is_text else f"{option}={_value(value)}"


def _value(value: Any) -> str:
    """An option's value in the syntax of the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _score(record: Record) -> list[str]:
    """The words of `score` for the run of another engine; its record has the file's name alone."""
    return [record.run_file, f"name={record.method.removeprefix(FOREIGN)}"]


def _line(words: Sequence[str], command: str = "run") -> str:
    """The command, quoted for a shell."""
    return shlex.join(["python", "-m", "harness", command, *words])
