"""What is to be measured: from configurations to cells, those of one (data set, model) together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from harness import records, shards, stages, trec
from harness.config import ROOT, entry, variant
from harness.errors import HarnessError
from harness.evaluate import CUT
from harness.stages import Files
from harness.subject import QueryMean, Subject, model_name

Options = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """Options of a method and of a centering; not `asked` for: the reference, measured along."""

    method: Options
    center: Options
    asked: bool


@dataclass(frozen=True)
class Cell:
    """What is to be measured: a method under a centering, on a subject.

    Attributes
    ----------
    names : data set, model, center, method
    depths : to measure; none if the record has all that are asked for
    choice : what it came from
    anew : whether nothing that was computed before counts (``overwrite=true``)
    files : where its steps are kept
    """

    names: tuple[str, str, str, str]
    method: Options
    center: Options
    mean: QueryMean | None
    identity: Options
    depths: list[int]
    choice: Choice
    anew: bool
    files: Files

    @property
    def whole(self) -> bool:
        """See `harness.records.is_whole`."""
        return records.is_whole(self.method["name"])

    @property
    def k(self) -> int:
        """Candidates that are needed."""
        return max(self.depths[-1], CUT)


def by_model(configs: Sequence[DictConfig]) -> list[tuple[Options, list[Choice]]]:
    """The configurations that differ in centering and method alone are one: (its options, these choices).

    Raises
    ------
    HarnessError
        If two of them would have one record, or a method cannot be had in shards.
    """
    groups: dict[str, tuple[Options, list[Choice]]] = {}
    for config in configs:
        options: Options = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        choice = Choice(options.pop("method"), options.pop("center"), asked=True)
        group = groups.setdefault(json.dumps(options), (options, []))[1]
        sharded = not shards.parse(options["shard"]).is_whole
        if sharded and choice.method["name"] == "plaid":
            raise HarnessError("PLAID's centroids are those of the whole corpus: method=plaid cannot be run in shards.")
        if options["reference"] and not sharded and choice.method["name"] != options["reference"]:
            group.append(Choice(entry("method", options["reference"]), entry("center", "none"), asked=False))
        group.append(choice)
    found = list(groups.values())
    _refuse_one_record_of_two(found)
    return found


def _refuse_one_record_of_two(groups: list[tuple[Options, list[Choice]]]) -> None:
    """Refuse cells of other inputs under one name: the one's record would be lost to the other's."""
    taken: dict[Path, Options] = {}
    for options, choices in groups:
        for dataset in selected(options):
            inputs = {name: options[name] for name in ("models_dir", "data_dir")}
            inputs |= {f"model.{key}": value for key, value in options["model"].items()}
            inputs |= {f"dataset.{key}": value for key, value in dataset.items()}
            if options["overwrite"]:  # the later one replaces the depths of the earlier one
                inputs["depths"] = options["depths"]
            for choice in choices:
                try:
                    names = names_of(dataset["name"], model_name(options["model"]), choice)
                except HarnessError:  # a name that no file can have: said when the cell is planned
                    continue
                path = records.record_path(results_dir(options["results_dir"]), *names)
                other = taken.setdefault(path, inputs)
                if differs := sorted(key for key in inputs.keys() | other.keys() if inputs.get(key) != other.get(key)):
                    raise HarnessError(
                        f"two cells of this sweep, of another {', '.join(differs)}, would have the one record {path}: "
                        "run them one after the other, with a model.name (dataset.name) of their own if the inputs "
                        "differ."
                    )


def selected(options: Options) -> list[Options]:
    """Options of the data set, or of each data set of the suite."""
    if options["dataset"]:
        return [options["dataset"]]
    return [entry("dataset", name) for name in options["suite"]["datasets"]]


def results_dir(option: str | None) -> Path:
    """Folder of the results: the option, or ``results`` of this checkout."""
    return Path(option).expanduser() if option else ROOT / "results"


def names_of(dataset: str, model: str, choice: Choice) -> tuple[str, str, str, str]:
    """A cell's data set, model, center and method, under which its record is."""
    return dataset, model, variant("center", _centering(choice)), variant("method", choice.method)


def _centering(choice: Choice) -> Options:
    """What centers a choice's cell: nothing, where the method sees the model's own vectors."""
    return entry("center", "none") if records.is_whole(choice.method["name"]) else choice.center


def cell_of(subject: Subject, choice: Choice) -> Cell:
    """The cell of a choice; without depths if its record has all that is asked for."""
    config, method, centering = subject.config, choice.method, _centering(choice)
    names = names_of(subject.dataset_name, subject.model_name, choice)
    mean = subject.query_mean(centering) if centering["name"] == "own" else None
    identity = {**subject.identity, "center": {**centering, "query_mean": mean and mean.sha256}, "method": method}
    results = results_dir(config["results_dir"])
    path = records.record_path(results, *names)
    depths = _missing_depths(path, identity, config, choice.asked and config["overwrite"])
    if config["save_runs"] and not depths and not trec.exist(results, names, records.read(path).ndcg10):
        depths = sorted({*config["depths"], *_measured(path)})
    k, anew = max([*depths, CUT]), bool(choice.asked and config["overwrite"])
    depends_on = [identity["center"], identity["method"], k, depths[-1:]]
    files = stages.files(subject.stages, *names[2:], depends_on, subject.shard)
    return Cell(names, method, centering, mean, identity, depths, choice, anew, files)


def alike(cells: list[Cell]) -> list[list[Cell]]:
    """Cells of one method whose documents are encoded alike, together; exact search is left to the MaxSim pass."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.method["name"] != "exact":
            key = [cell.method, cell.center["name"] == "none", cell.center["renormalize"], cell.k]
            groups.setdefault(json.dumps(key), []).append(cell)
    return list(groups.values())


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
