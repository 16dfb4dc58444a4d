"""Diagnosis: the geometry of one (model, data set), as one JSON file.

    results/geometry/<data set>/<model>.json

    documents | queries                 -> raw | centered | own -> measures over the corpus (`harness.geometry`)
    within_document | within_query      -> the same, as a mean over texts
    spectrum                            eigenvalues' shares of their sum
    cosines                             histograms of random pairs' cosines
    first_stages -> method              -> the same -> buckets or anchors (`harness.geometry.occupancy`), and how well the
                                           first stage follows MaxSim (`harness.evaluation.agreement`)

``raw``, ``centered`` and ``own`` are the centerings ``none``, ``corpus`` and ``own``: the vectors as the projections
see them. The measures are of all token vectors, from one reading after the one for the mean; first stages are compared
on at most `geometry.documents` documents and `geometry.queries` queries, drawn by their ids.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from harness.config.entries import entry
from harness.config.names import variant
from harness.config.options import CenterOptions, results_dir
from harness.evaluation.agreement import agreement
from harness.evaluation.ndcg import CUT
from harness.geometry import occupancy
from harness.geometry.file import FORMAT, path_of, read
from harness.geometry.moments import Space, spaces
from harness.measure import query_mean
from harness.measure.cells import Request
from harness.measure.grouping import by_model, selected
from harness.measure.testbed import Testbed, testbed_of
from harness.methods.exact import Exact
from harness.methods.muvera import FixedDimensionalEncoding, Muvera
from harness.methods.smve import Smve, SparseEncoding
from harness.models.checkpoint import weights_note
from harness.ranking.ranks import Ranking, drop_self_matches
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.files import write_json
from harness.vectors import centering
from harness.vectors.store import StoreInMemory, TokenVectors, stacked

log = logging.getLogger(__name__)


SPACES = {"none": "raw", "corpus": "centered", "own": "own"}


METHODS: dict[str, type[Muvera] | type[Smve]] = {"muvera": Muvera, "smve": Smve}


DEPTHS = (CUT, 50, 100, 200, 400, 1000)


_SEED = 0  # of every sample


_TOKENS = 20_000  # of each side, for rates of pairs


_LOADING = 400_000  # of each side, for the load of anchors


_QUERY_TOKENS, _DOCUMENT_TOKENS = 500, 4000  # 2,000,000 pairs, for the overlap of anchors


Options = dict[str, Any]


def diagnose_cells(configs: Sequence[DictConfig], failures: list[str]) -> Iterator[Path]:
    """Write the geometry of each (model, data set) of some configurations; failures are added to the list."""
    for options, requests in by_model(configs):
        methods, centers = _distinct(requests)
        if options["shard"]:
            raise HarnessError(f"shard={options['shard']}: a geometry is of a whole corpus, so leave shard out.")
        if options["threads"]:
            torch.set_num_threads(options["threads"])
        for dataset_options in selected(options):
            try:
                testbed = testbed_of(options, dataset_options)
                yield diagnose(testbed, methods, centers, results_dir(options["results_dir"]))
            except HarnessError as error:  # of this one: the others go on
                failures.append(f"{dataset_options['name']}  {options['model']['name']}: {error}")
                log.error("error: %s", failures[-1])


def _distinct(requests: Sequence[Request]) -> tuple[list[Options], list[str]]:
    """The methods and the centerings that were asked for."""
    asked = [request for request in requests if request.asked]
    methods = {request.method.variant: request.method.identity() for request in asked}
    centers = {request.center.variant: request.center.name for request in asked}
    for name, method in methods.items():
        if method["name"] not in METHODS:
            raise HarnessError(f"method={name} has no projections to look at: expected {' or '.join(METHODS)}.")
    for name, kind in centers.items():
        if name != kind:
            raise HarnessError(f"center={name}: a geometry is of the centerings as they are, {', '.join(SPACES)}.")
    return list(methods.values()), list(centers.values())


def diagnose(testbed: Testbed, methods: Sequence[Options], centers: Sequence[str], results: Path) -> Path:
    """Write the geometry of a testbed; what an earlier one has of these methods and centerings is kept.

    Raises
    ------
    HarnessError
        If the earlier one was made from other inputs, or there are too few token vectors.
    """
    path = path_of(results, testbed.dataset_name, testbed.model_name)
    view = _View(testbed)
    known = {} if testbed.options.overwrite or not path.exists() else read(path)
    if known:
        differs = sorted(key for key in view.identity if known["identity"].get(key) != view.identity[key])
        if differs:
            raise HarnessError(
                f"the geometry {path} was made from another {', '.join(differs)}: set overwrite=true to replace it, or "
                "model.name (dataset.name) to keep both."
            )
    stages = known.get("first_stages", {})
    for method in methods:
        if any(one["options"] != method for one in stages.get(variant("method", method), {}).values()):
            raise HarnessError(
                f"the geometry {path} was made with other options of {method['name']}: set overwrite=true to replace "
                "it."
            )
    missing = {
        name: [kind for kind in centers if SPACES[kind] not in stages.get(name, {})]
        for name in [variant("method", method) for method in methods]
    }
    if known and not any(missing.values()):
        return path
    found = known or view.spaces()
    for method in methods:
        began, name = time.perf_counter(), variant("method", method)
        if missing[name]:
            stages[name] = {**stages.get(name, {}), **view.first_stage(method, missing[name])}
        seconds = found.get("seconds", 0) + time.perf_counter() - began
        found |= {"first_stages": stages, "seconds": seconds}
        write_json(path, found)
    return path


class _View:
    """A testbed under every centering."""

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.own = {**entry("center", "own")}
        self.mean = query_mean.choose(testbed.options, testbed.dataset, CenterOptions.of(self.own))
        sizes = dict(testbed.options.given["geometry"])
        self.identity = {**testbed.identity, "query_mean": self.mean.sha256, "geometry": sizes}

    @cached_property
    def shifts(self) -> dict[str, centering.Centering]:
        """Centering -> what it subtracts."""
        others = self.testbed.encode_mean(self.mean)
        return {kind: centering.fit(kind, self.testbed.document_mean, others, renormalize=False) for kind in SPACES}

    def spaces(self) -> Options:
        """Everything but the first stages."""
        testbed = self.testbed
        sides = {
            "documents": (testbed.docs, {kind: shift.documents for kind, shift in self.shifts.items()}),
            "queries": (testbed.queries, {kind: shift.queries for kind, shift in self.shifts.items()}),
        }
        for side, (store, _) in sides.items():
            if store.offsets[-1] < 2:
                found = f"the {side} of {testbed.dataset_name} have {store.offsets[-1]} token vectors"
                raise HarnessError(f"{found}: a geometry needs two or more, so take a larger data set.")
        measured = {side: _spaces(store, means) for side, (store, means) in sides.items()}
        histograms = {side: _histograms(store, means) for side, (store, means) in sides.items()}
        counts = histograms["documents"]["raw"]
        note = weights_note(testbed.options.model.given, testbed.checkpoint.backbone)
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
                "seed": _SEED,
                **histograms,
            },
            "notes": ([note] if note else []) + [f"mu_Q: {self.mean.source}"],
            "identity": self.identity,
            "versions": provenance.versions(),
            "host": provenance.host(testbed.resources.device),
            "commit": provenance.commit(),
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }

    @cached_property
    def compared(self) -> tuple[TokenVectors, TokenVectors, np.ndarray]:
        """Documents and queries that first stages are compared on, and for each query the row of its own document."""
        testbed, sizes = self.testbed, self.identity["geometry"]
        documents = _by_id(list(testbed.dataset.docs), sizes["documents"])
        queries = _by_id(list(testbed.dataset.queries), sizes["queries"])
        place = np.full(len(testbed.dataset.docs) + 1, -1)
        place[documents] = np.arange(len(documents))
        return _rows(testbed.docs, documents), _rows(testbed.queries, queries), place[testbed.self_rows[queries]]

    @cached_property
    def exact(self) -> Ranking:
        """All compared documents by MaxSim."""
        documents, queries, own = self.compared
        return _without_self(Exact().search(documents, queries, len(documents), self.testbed.resources).ranking, own)

    def first_stage(self, options: Options, kinds: Sequence[str]) -> Options:
        """Space -> what a method's projections see, and how well it follows MaxSim."""
        method = METHODS[options["name"]](**{key: value for key, value in options.items() if key != "name"})
        documents, queries, own = self.compared
        found = {}
        for together in self._alike(kinds):
            shifts = [self.shifts[kind] for kind in together]
            centered = shifts[0].apply_documents(documents)
            asked = [shift.apply_queries(queries) for shift in shifts]
            ranking = method.search(centered, stacked(asked), len(documents), self.testbed.resources).ranking
            for i, kind in enumerate(together):
                rows = slice(i * len(queries), (i + 1) * len(queries))
                some = _without_self(Ranking(ranking.rows[rows], ranking.scores[rows]), own)
                follows = {**agreement(some, self.exact, DEPTHS), "documents": len(documents)}
                seen = self._seen(method, centered, asked[i])
                found[SPACES[kind]] = {"options": options, **seen, "agreement": follows}
        return found

    def _alike(self, kinds: Sequence[str]) -> list[list[str]]:
        """Centerings that treat documents alike, together: these are encoded once."""
        groups: dict[int, list[str]] = {}
        for kind in kinds:
            groups.setdefault(id(self.shifts[kind].documents), []).append(kind)
        return list(groups.values())

    def _seen(self, method: Muvera | Smve, documents: TokenVectors, queries: TokenVectors) -> Options:
        """Buckets or anchors."""
        device, sides = self.testbed.resources.device, {"documents": documents, "queries": queries}
        if isinstance(method, Muvera):
            fde = FixedDimensionalEncoding(documents.dim, *method.options, device)
            return {
                "buckets": {
                    side: occupancy.buckets(fde, store, occupancy.sample(store, _TOKENS, _SEED), _SEED)
                    for side, store in sides.items()
                }
            }
        encoding = SparseEncoding(documents.dim, *method.options, device)
        some_queries = occupancy.sample(queries, _QUERY_TOKENS, _SEED)
        some_documents = occupancy.sample(documents, _DOCUMENT_TOKENS, _SEED)
        return {
            "anchors": {
                side: occupancy.anchor_load(encoding, occupancy.sample(store, _LOADING, _SEED), _SEED)
                for side, store in sides.items()
            },
            "zero_overlap": occupancy.zero_overlap(encoding, some_queries, some_documents),
        }


def _spaces(store: TokenVectors, means: Mapping[str, np.ndarray | None]) -> dict[str, Space]:
    """Space -> its measures; what is subtracted twice (documents: `corpus` and `own`) is measured once."""
    distinct: dict[int, np.ndarray | None] = {id(mean): mean for mean in means.values()}
    measured = dict(zip(distinct, spaces(store, list(distinct.values())), strict=True))
    return {SPACES[kind]: measured[id(mean)] for kind, mean in means.items()}


def _histograms(store: TokenVectors, means: Mapping[str, np.ndarray | None]) -> dict[str, list[int]]:
    """Space -> counts of random pairs' cosines, of the same pairs in each."""
    tokens = occupancy.sample(store, _TOKENS, _SEED)
    shifted = {SPACES[kind]: tokens if mean is None else tokens - mean for kind, mean in means.items()}
    return {name: occupancy.cosine_histogram(some, _SEED) for name, some in shifted.items()}


def _each(measured: Mapping[str, Space], what: Any) -> Options:
    return {name: what(space) for name, space in measured.items()}


def _by_id(ids: Sequence[str], most: int) -> np.ndarray:
    """Rows of at most so many ids, drawn by their sha256, ascending."""
    chosen = sorted(range(len(ids)), key=lambda row: sha256(ids[row].encode()).digest())[:most]
    return np.array(sorted(chosen), dtype=np.int64)


def _rows(store: TokenVectors, rows: np.ndarray) -> TokenVectors:
    """Some rows of a store, in memory unless they are all."""
    if len(rows) == len(store):
        return store
    parts = [store[row].astype(np.float16) for row in rows.tolist()]
    return StoreInMemory(np.concatenate(parts), np.array([len(part) for part in parts]))


def _without_self(ranking: Ranking, own: np.ndarray) -> Ranking:
    return drop_self_matches(ranking, own, ranking.rows.shape[1])[0]
