"""Configurations grouped by (model, data set), and cells grouped by what they share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from harness import records
from harness.config import shards
from harness.config.entries import entry
from harness.config.names import model_name
from harness.measure.cells import Cell, Options, Request, names_of
from harness.records import results_dir
from harness.system.errors import HarnessError


def by_model(configs: Sequence[DictConfig]) -> list[tuple[Options, list[Request]]]:
    """The configurations that differ in centering and method alone are one: (its options, these requests).

    Raises
    ------
    HarnessError
        If two of them would have one record, or a method cannot be had in shards.
    """
    groups: dict[str, tuple[Options, list[Request]]] = {}
    for config in configs:
        options: Options = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        request = Request(options.pop("method"), options.pop("center"), asked=True)
        group = groups.setdefault(json.dumps(options), (options, []))[1]
        sharded = not shards.parse(options["shard"]).is_whole
        if sharded and request.method["name"] == "plaid":
            raise HarnessError("PLAID's centroids are those of the whole corpus: method=plaid cannot be run in shards.")
        if options["reference"] and not sharded and request.method["name"] != options["reference"]:
            group.append(Request(entry("method", options["reference"]), entry("center", "none"), asked=False))
        group.append(request)
    found = list(groups.values())
    _refuse_one_record_of_two(found)
    return found


def _refuse_one_record_of_two(groups: list[tuple[Options, list[Request]]]) -> None:
    """Refuse cells of other inputs under one name: the one's record would be lost to the other's."""
    taken: dict[Path, Options] = {}
    for options, requests in groups:
        for dataset in selected(options):
            inputs = {name: options[name] for name in ("models_dir", "data_dir")}
            inputs |= {f"model.{key}": value for key, value in options["model"].items()}
            inputs |= {f"dataset.{key}": value for key, value in dataset.items()}
            if options["overwrite"]:  # the later one replaces the depths of the earlier one
                inputs["depths"] = options["depths"]
            for request in requests:
                try:
                    names = names_of(dataset["name"], model_name(options["model"]), request)
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


def alike(cells: list[Cell]) -> list[list[Cell]]:
    """Cells of one method whose documents are encoded alike, together; exact search is left to the MaxSim pass."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.method["name"] != "exact":
            key = [cell.method, cell.center["name"] == "none", cell.center["renormalize"], cell.k]
            groups.setdefault(json.dumps(key), []).append(cell)
    return list(groups.values())
