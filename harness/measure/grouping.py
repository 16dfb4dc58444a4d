"""Configurations grouped by testbed, and cells grouped by what they share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from harness import records
from harness.config import shards, suites
from harness.config.entries import entry
from harness.config.options import ModelOptions, RunOptions
from harness.config.seeds import Seeds
from harness.measure.cells import Cell, Options, Request
from harness.methods import registry
from harness.methods.method import DOCUMENTS
from harness.records import CellKey
from harness.system.errors import HarnessError
from harness.vectors.centering import KINDS


def by_testbed(configs: Sequence[DictConfig]) -> Iterator[tuple[RunOptions, list[Request]]]:
    """The configurations, those of one (model, data set) together: (options of a run on it, what to measure there).

    Raises
    ------
    HarnessError
        If two cells would have one record, or a method cannot search a shard.
    """
    for options, requests in by_model(configs):
        for dataset in selected(options):
            yield RunOptions.of(options, dataset), requests


def by_model(configs: Sequence[DictConfig]) -> list[tuple[Options, list[Request]]]:
    """The configurations, those that differ in centering and method alone together: (their options, the requests).

    Raises
    ------
    HarnessError
        If two cells would have one record, or a method cannot search a shard.
    """
    groups: dict[str, tuple[Options, list[Request]]] = {}
    for config in configs:
        options: Options = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        request = Request.of(options.pop("method"), options.pop("center"), True, options.pop("index"))
        requests = groups.setdefault(json.dumps(options), (options, []))[1]
        name, reference, sharded = request.method.name, options["reference"], not shards.parse(options["shard"]).is_full
        if sharded and not (registry.method_class(name).shardable and "index" not in request.method.given):
            raise HarnessError(
                f"method={request.method.variant} needs all documents at once: leave shard={options['shard']} out."
            )
        if reference and not sharded and name != reference:
            requests.append(Request.of(entry("method", reference), entry("center", "none"), asked=False))
        requests.append(request)
    found = list(groups.values())
    _refuse_shared_records(found)
    return found


def selected(options: Mapping[str, Any]) -> list[Options]:
    """Options of the data set, or of each data set of the suite and of its groups.

    Raises
    ------
    HarnessError
        For given token vectors without a data set.
    """
    if options["dataset"]:
        return [options["dataset"]]
    if ModelOptions.of(options["model"]).is_given:
        raise HarnessError(
            f"vectors={options['model']['path']} belongs to one data set, and none was named: add dataset=NAME or "
            "dataset.path=FOLDER."
        )
    names = [name for unit in options["suite"]["datasets"] for name in suites.members(unit)]
    return [entry("dataset", name) for name in dict.fromkeys(names)]


def keys_of(options: RunOptions, requests: Sequence[Request]) -> list[CellKey]:
    """Keys of cells that may yet fail; none, if they have a name that no file can have."""
    try:
        return [request.key(options.dataset_name, options.model.variant) for request in requests]
    except HarnessError:
        return []


def share_documents(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Groups of cells whose documents are encoded alike: the same method, document mean and number of candidates.

    Draws of a method that searches them together (`Method.draws_share`) are one group. Cells whose search is the MaxSim
    pass are left out.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if not cell.exhaustive:
            together = registry.make(cell.method.given).draws_share
            one = replace(cell, method=cell.method.drawn(0)) if together else cell
            key = [documents_of(one), one.method.identity(), cell.k]
            groups.setdefault(json.dumps(key), []).append(cell)
    return list(groups.values())


def documents_of(cell: Cell) -> list[Any]:
    """What a cell's codes of documents depend on, beside its testbed and its index."""
    kind, center = KINDS[cell.center.name], cell.center
    _, own = kind.shares(center.share, center.document_share)
    method = {name: value for name, value in cell.method.identity().items() if name != "index"}
    key = [method, cell.identity.get("method_inputs"), kind.documents, own, center.renormalize]
    # What a method learns from is centered, too.
    return key if registry.make(cell.method.given).learn == DOCUMENTS else [*key, center.variant]


def _refuse_shared_records(groups: Sequence[tuple[Options, list[Request]]]) -> None:
    """Refuse cells of different inputs or seeds under one name: the record of one would replace the other's."""
    taken: dict[Path, Options] = {}
    drawn: dict[Path, Seeds] = {}
    for options, requests in groups:
        for dataset in selected(options):
            inputs = {name: options[name] for name in ("models_dir", "data_dir")}
            inputs |= {f"model.{key}": value for key, value in options["model"].items()}
            inputs |= {f"dataset.{key}": value for key, value in dataset.items()}
            if options["overwrite"]:  # the later one replaces what the earlier one has
                inputs |= {name: options[name] for name in ("depths", "metrics", "agreement")}
            run = RunOptions.of(options, dataset)
            for one, key in [(request, key) for request in requests for key in keys_of(run, [request])]:
                path = records.record_path(run.results, *key)
                if one.asked and drawn.setdefault(path, one.method.seeds) != one.method.seeds:
                    raise HarnessError(
                        f"two cells of this sweep would have the same record {path} and differ in method.seeds: name "
                        "all seeds in one list, such as method.seeds=[42,43,44]."
                    )
                other = taken.setdefault(path, inputs)
                if differs := sorted(key for key in inputs.keys() | other.keys() if inputs.get(key) != other.get(key)):
                    raise HarnessError(
                        f"two cells of this sweep differ in {', '.join(differs)} and would have the same record "
                        f"{path}: run them one after the other, or give one a model.name (dataset.name) of its own if "
                        "the inputs differ."
                    )
