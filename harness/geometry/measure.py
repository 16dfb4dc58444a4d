"""Measure the geometry of one (model, data set) and write its file (`harness.geometry.file`).

Token vectors are measured as the projections of first stages see them: under each centering that subtracts one vector
from all texts of a side. One pass over the store measures all of them, after a pass for their mean.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from harness.config.entries import entry
from harness.config.names import variant
from harness.config.options import CenterOptions, RunOptions
from harness.geometry import occupancy
from harness.geometry.file import FORMAT, path_of, read
from harness.geometry.first_stages import SAMPLED_TOKENS, SEED, FirstStages
from harness.geometry.moments import Moments, TokenSpace, spaces
from harness.measure import query_mean
from harness.measure.cells import Request
from harness.measure.grouping import by_model, selected
from harness.measure.preflight import refuse_inputs
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.files import check_writable, write_json
from harness.system.messages import warn_once
from harness.vectors import centering
from harness.vectors.centering import constant_kinds
from harness.vectors.store import TokenVectors

log = logging.getLogger(__name__)
Options = dict[str, Any]


def diagnose_cells(configs: Sequence[DictConfig], failures: list[str]) -> Iterator[Path]:
    """Write the geometry of each (model, data set) of the configurations, and yield the file of each.

    Parameters
    ----------
    failures
        The failure of a data set is appended here, and the others go on.

    Raises
    ------
    HarnessError
        If a shard, a method without projections, or a variant of a centering is asked for.
    """
    planned = []
    for options, requests in by_model(configs):
        methods, centers = _distinct(requests)
        if options["shard"]:
            raise HarnessError(f"shard={options['shard']}: a geometry describes a whole corpus, so leave shard out.")
        for dataset in selected(options):
            run_options = RunOptions.of(options, dataset)
            with _collected(failures, run_options):  # of all data sets, before the first is read
                refuse_inputs(run_options)
                planned.append((run_options, methods, centers))
    for folder in {run_options.results for run_options, *_ in planned}:
        check_writable("results_dir", folder)
    for run_options, methods, centers in planned:
        if run_options.threads:
            torch.set_num_threads(run_options.threads)
        with _collected(failures, run_options):
            yield diagnose(Testbed(run_options), methods, centers, run_options.results)


@contextmanager
def _collected(failures: list[str], options: RunOptions) -> Iterator[None]:
    """Append an error of the block to the failures; the other data sets go on."""
    try:
        yield
    except HarnessError as error:
        failures.append(f"{options.title}: {error}")
        log.error("error: %s", failures[-1])


def _distinct(requests: Sequence[Request]) -> tuple[list[Options], list[str]]:
    """The distinct methods and centerings that the user asked for."""
    asked = [request for request in requests if request.asked]
    methods = {request.method.variant: request.method.identity() for request in asked}
    centers = {request.center.variant: request.center.name for request in asked}
    stages = [name for name in registry.all_methods() if registry.is_centered(name)]
    for name in methods:
        if registry.base_name(name) not in stages:
            expected = " or ".join(stages)
            raise HarnessError(f"method={name} is no first stage on token vectors: expected {expected}.")
    for request in asked:
        if len(request.method.seeds) > 1:
            line = "geometry measures one draw of %s, that of method.seed; method.seeds is for `run`"
            warn_once(log, line, request.method.variant)
    known = constant_kinds()
    for name, kind in centers.items():
        if name != kind or kind not in known:
            raise HarnessError(f"center={name}: a geometry has no variants of centerings; expected {', '.join(known)}.")
    return list(methods.values()), list(centers.values())


def diagnose(testbed: Testbed, methods: Sequence[Options], centers: Sequence[str], results: Path) -> Path:
    """Write the geometry of a testbed; what an earlier file has of these methods and centerings is kept.

    Raises
    ------
    HarnessError
        If the earlier file was made from other inputs, or there are too few token vectors.
    """
    path = path_of(results, testbed.dataset_name, testbed.model_name)
    geometry = GeometryOf(testbed)
    known = {} if testbed.options.overwrite or not path.exists() else read(path)
    _check_inputs(path, known, geometry.identity, methods)
    stages = known.get("first_stages", {})
    seen = [center for center in centers if center in geometry.kinds]
    missing = {
        name: [center for center in seen if constant_kinds()[center].space not in stages.get(name, {})]
        for name in [variant("method", method) for method in methods]
    }
    if "separation" in known and not any(missing.values()):
        return path
    has_spaces = known and all(constant_kinds()[name].space in known["documents"] for name in geometry.kinds)
    found = known if has_spaces else {**known, **geometry.token_spaces()}
    if "separation" not in found:
        found["separation"] = geometry.separation()
    for method in methods:
        began, name = time.perf_counter(), variant("method", method)
        if missing[name]:
            shifts = {center: geometry.centerings[center] for center in missing[name]}
            stages[name] = {**stages.get(name, {}), **geometry.first_stages.geometry(method, shifts)}
        seconds = found.get("seconds", 0) + time.perf_counter() - began
        found |= {"first_stages": stages, "seconds": seconds}
        write_json(path, found)
    return path


def _check_inputs(path: Path, known: Options, identity: Options, methods: Sequence[Options]) -> None:
    """Refuse to add to a geometry that was made from other inputs, or with other options of a method."""
    differs = sorted(key for key in identity if known and known["identity"].get(key) != identity[key])
    if differs:
        raise HarnessError(
            f"the geometry {path} was made with different {', '.join(differs)}: set overwrite=true to replace it, or "
            "model.name (dataset.name) to keep both."
        )
    for method in methods:
        stages = known.get("first_stages", {}).get(variant("method", method), {})
        if any(stage["options"] != method for stage in stages.values()):
            raise HarnessError(
                f"the geometry {path} was made with other options of {method['name']}: set overwrite=true to replace "
                "it."
            )


class GeometryOf:
    """The geometry of a testbed, under every centering.

    Attributes
    ----------
    mean : the queries whose mean token vector is mu_Q; None: their token vectors are not among those that were given
    identity : what the geometry depends on; an earlier file with another identity is refused
    """

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        own = entry("center", next(name for name, kind in constant_kinds().items() if kind.needs_query_mean))
        chosen = query_mean.choose(testbed.options, testbed.dataset, CenterOptions.of(own))
        self.mean = chosen if testbed.source.has(chosen.texts) else None
        sizes = dict(testbed.options.given["geometry"])
        mean_sha256 = self.mean.sha256 if self.mean else None
        self.identity = {**testbed.identity, "query_mean": mean_sha256, "geometry": sizes}

    @property
    def kinds(self) -> list[str]:
        """The centerings that can be looked at: all, or those that need no mean of queries."""
        return [name for name, kind in constant_kinds().items() if self.mean or not kind.needs_query_mean]

    @cached_property
    def centerings(self) -> dict[str, centering.Centering]:
        """Name -> the means that the centering subtracts."""
        others = self.testbed.encode_mean(self.mean) if self.mean else None
        return {name: centering.fit(name, self.testbed.document_mean, others, renormalize=False) for name in self.kinds}

    @cached_property
    def first_stages(self) -> FirstStages:
        """The documents and queries on which first stages are compared."""
        return FirstStages(self.testbed, self.identity["geometry"])

    def separation(self) -> Options:
        """How far the model's own vectors tell documents apart, whatever the first stage."""
        compared = self.first_stages
        return {
            "dead_axes": Moments.of(self.testbed.docs).dead_axes,
            "maxsim_spread": compared.maxsim_spread,
            "documents": len(compared.documents),
            "queries": len(compared.queries),
        }

    def token_spaces(self) -> Options:
        """All keys of the file (`harness.geometry.file`) except those of the first stages.

        Raises
        ------
        HarnessError
            If a side has fewer than two token vectors.
        """
        testbed = self.testbed
        sides = {
            "documents": (testbed.docs, {name: shift.documents for name, shift in self.centerings.items()}),
            "queries": (testbed.queries, {name: shift.queries for name, shift in self.centerings.items()}),
        }
        for side, (store, _) in sides.items():
            if store.offsets[-1] < 2:
                found = f"the {side} of {testbed.dataset_name} have {store.offsets[-1]} token vectors"
                raise HarnessError(f"{found}: a geometry needs two or more, so take a larger data set.")
        measured = {side: _token_spaces(store, means) for side, (store, means) in sides.items()}
        histograms = {side: _histograms(store, means) for side, (store, means) in sides.items()}
        counts = next(iter(histograms["documents"].values()))
        remark = testbed.source.remark
        means = f"mu_Q: {self.mean.source}" if self.mean else "mu_Q: unknown, as no queries for it were given"
        return {
            "format": FORMAT,
            "dataset": testbed.dataset_name,
            "model": testbed.model_name,
            **{side: _each(found, lambda space: space.measures) for side, found in measured.items()},
            "within_document": _each(measured["documents"], lambda space: space.within),
            "within_query": _each(measured["queries"], lambda space: space.within),
            "spectrum": {
                side: _each(found, lambda space: space.moments.spectrum().tolist()) for side, found in measured.items()
            },
            "cosines": {
                "edges": np.linspace(-1, 1, len(counts) + 1).tolist(),
                "pairs": sum(counts),
                "seed": SEED,
                **histograms,
            },
            "notes": ([remark] if remark else []) + [means],
            "identity": self.identity,
            "versions": provenance.versions(),
            "host": provenance.host(testbed.resources.device),
            "commit": provenance.commit(),
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }


def _token_spaces(store: TokenVectors, means: Mapping[str, np.ndarray | None]) -> dict[str, TokenSpace]:
    """Space of each centering -> its measures; a mean that several centerings subtract is measured once."""
    distinct: dict[int, np.ndarray | None] = {id(mean): mean for mean in means.values()}
    measured = dict(zip(distinct, spaces(store, list(distinct.values())), strict=True))
    return {constant_kinds()[name].space: measured[id(mean)] for name, mean in means.items()}


def _histograms(store: TokenVectors, means: Mapping[str, np.ndarray | None]) -> dict[str, list[int]]:
    """Space of each centering -> counts of the cosines of random pairs, the same pairs in each."""
    tokens = occupancy.sample(store, SAMPLED_TOKENS, SEED)
    shifted = {constant_kinds()[name].space: tokens if mean is None else tokens - mean for name, mean in means.items()}
    return {space: occupancy.cosine_histogram(vectors, SEED) for space, vectors in shifted.items()}


def _each(measured: Mapping[str, TokenSpace], measure: Callable[[TokenSpace], Any]) -> Options:
    return {space: measure(vectors) for space, vectors in measured.items()}
