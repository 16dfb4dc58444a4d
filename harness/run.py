"""The pipeline, top to bottom, for one cell: (data set, model, centering, method).

    data set -> token vectors -> centering -> candidates -> self matches out -> MaxSim reranking -> NDCG@10 -> record

All rerank depths come from one search and one MaxSim pass. PLAID, exact search and reranking see the model's own
vectors; centering is for MUVERA and SMVE alone. A cell whose record is there is not computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from harness import center, models, provenance, records, trec
from harness.candidates import Found, Method
from harness.candidates.exact import Exact
from harness.candidates.muvera import Muvera
from harness.candidates.plaid import Plaid
from harness.candidates.smve import Smve
from harness.config import ROOT, entry, variant
from harness.errors import HarnessError
from harness.evaluate import CUT, candidate_recall, ndcg10
from harness.maxsim import rerank_scores
from harness.progress import Stopwatch, bar
from harness.ranking import Ranking, drop_self_matches, reorder
from harness.store import TokenStore
from harness.subject import Subject

log = logging.getLogger(__name__)
Options = dict[str, Any]

METHODS: dict[str, type[Method]] = {"exact": Exact, "muvera": Muvera, "plaid": Plaid, "smve": Smve}


def results_dir(option: str | None) -> Path:
    """Folder of the results: the option, or ``results`` of this checkout."""
    return Path(option).expanduser() if option else ROOT / "results"


def run_cells(config: DictConfig) -> list[str]:
    """Measure one method under one centering, and the reference, on every data set of the configuration.

    A data set that fails does not stop the others.

    Returns
    -------
    One sentence for each failure.
    """
    options: Options = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    failures = []
    for dataset_options in selected(options):
        try:
            subject = Subject(options, dataset_options)
            for method, centering in _cells(options):
                measure(subject, method, centering)
        except Exception as error:  # one data set must not stop the others
            if not isinstance(error, HarnessError):
                log.exception("unexpected %s", type(error).__name__)
            cell = f"{dataset_options['name']}  {options['center']['name']}  {options['method']['name']}"
            failures.append(f"{cell}: {error}")
            log.error("error: %s", failures[-1])
    return failures


def selected(options: Options) -> list[Options]:
    """Options of the data set, or of each data set of the suite."""
    if options["dataset"]:
        return [options["dataset"]]
    return [entry("dataset", name) for name in options["suite"]["datasets"]]


def _cells(options: Options) -> Iterator[tuple[Options, Options]]:
    """(method, center) options: the reference, and the cell that was asked for."""
    method = options["method"]
    if options["reference"] and method["name"] != options["reference"]:
        yield entry("method", options["reference"]), entry("center", "none")
    yield method, entry("center", "none") if records.is_whole(method["name"]) else options["center"]


def measure(subject: Subject, method: Options, centering: Options) -> Path:
    """The record of a cell: the one that is there, or a new one."""
    config, whole = subject.config, records.is_whole(method["name"])
    names = subject.dataset_name, subject.model_name, variant("center", centering), variant("method", method)
    mean = subject.query_mean(centering) if centering["name"] == "own" else None
    identity = {**subject.identity, "center": {**centering, "query_mean": mean and mean.sha256}, "method": method}
    results, asked = results_dir(config["results_dir"]), method == config["method"]
    path = records.record_path(results, *names)
    depths = _missing_depths(path, identity, config, asked and config["overwrite"])
    if config["save_runs"] and not trec.exists(results, names):
        depths = depths or sorted({*config["depths"], *_measured(path)})
    if not depths:
        log.log(logging.INFO if asked else logging.DEBUG, "%s: finished before", _title(*names))
        return path

    started, watch = datetime.now(timezone.utc).isoformat(timespec="seconds"), Stopwatch()
    queries, docs = subject.queries, subject.docs
    with watch.phase("center"):
        others: TokenStore | None = subject.encode_mean(mean) if mean else None
        shift = center.fit(centering["name"], docs, others, centering["renormalize"])
    k = max(depths[-1], CUT)
    search = METHODS[method["name"]](**{key: value for key, value in method.items() if key != "name"}).search
    found = search(shift.apply_documents(docs), shift.apply_queries(queries), k + 1, subject.resources)
    first, dropped = drop_self_matches(found.ranking, subject.self_rows, k)
    with watch.phase("rerank"):
        rankings = {records.FINAL: first.rows} if whole else _reranked(subject, first, depths)
    with watch.phase("evaluate"):
        per_query = {depth: ndcg10(rows, subject.dataset) for depth, rows in rankings.items()}
        recall = {str(depth): candidate_recall(first.rows, depth, subject.dataset) for depth in depths if depth}
    if config["save_runs"]:
        trec.save(results, names, subject.dataset, rankings)

    note = models.weights_note(config["model"], subject.checkpoint.sha256)
    record = records.Record(
        *names,
        ndcg10={depth: float(np.mean(scores)) for depth, scores in per_query.items()},
        candidate_recall=recall,
        candidates={**_counts(subject, first, k), "self_matches_removed": dropped},
        seconds={**subject.encode_seconds, **_of_method(method["name"], found), **watch.seconds},
        bytes={"tokens": docs.nbytes, "index": found.index_bytes},
        details={**found.details, "documents": len(docs), "document_tokens": int(docs.offsets[-1])},
        notes=([note] if note else []) + ([f"mu_Q: {mean.source}"] if mean else []),
        identity=identity,
        config=_portable({**config, "dataset": subject.dataset_options, "method": method, "center": centering}),
        versions=provenance.versions(),
        host=provenance.host(subject.resources.device),
        commit=provenance.commit(),
        started=started,
        per_query={"queries": list(subject.dataset.queries), **{d: s.tolist() for d, s in per_query.items()}},
    )
    records.write(results, record)
    log.info("%s: NDCG@10 %s", _title(*names), "  ".join(_score(*item) for item in record.ndcg10.items()))
    return path


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
    enough = set(asked) <= set(measured) if measured else record.candidates["asked"] >= max(asked[-1], CUT)
    return [] if enough else sorted({*asked, *measured})


def _measured(path: Path) -> list[int]:
    """All depths that a finished record has, or the one that its single ranking goes down to."""
    record = records.read(path)
    return [record.candidates["asked"] if depth == records.FINAL else int(depth) for depth in record.ndcg10]


def _reranked(subject: Subject, first: Ranking, depths: list[int]) -> dict[str, np.ndarray]:
    """Rows at each depth, from one MaxSim pass over the deepest candidates."""
    resources = subject.resources
    deepest = first.rows[:, : depths[-1]]
    with bar("rerank", len(subject.docs), resources.show) as progress:
        scores = rerank_scores(
            subject.queries, subject.docs, deepest, resources.block_bytes, resources.device, progress.update
        )
    return {str(depth): rows for depth, rows in reorder(first.rows, scores, depths).items()}


def _counts(subject: Subject, first: Ranking, k: int) -> Options:
    """How many candidates the queries got, and how many of them got fewer than asked for (and than there are)."""
    asked = np.minimum(k, len(subject.docs) - (subject.self_rows >= 0))
    fewer = int((first.counts < asked).sum())
    if fewer:
        shortest, most = int(first.counts.min()), int(asked.max())
        log.info("%d of %d queries got fewer candidates than asked for: %d to %d", fewer, len(asked), shortest, most)
    return {
        "asked": k,
        "fewest": int(first.counts.min()),
        "mean": float(first.counts.mean()),
        "queries_with_fewer": fewer,
    }


def _portable(config: Options) -> Options:
    """The configuration without what says nothing elsewhere: folders of this machine, and where a path leads."""
    kept = {key: value for key, value in config.items() if not key.endswith("_dir")}
    for group in ("model", "dataset"):
        path = kept[group].get("path")
        kept[group] = {**kept[group], "path": path and Path(path).name}
    return kept


def _of_method(name: str, found: Found) -> dict[str, float]:
    return {f"{name}_{phase}": seconds for phase, seconds in found.seconds.items()}


def _title(dataset: str, model: str, center_name: str, method: str) -> str:
    return f"{dataset}  {model}  {center_name}  {method}"


def _score(depth: str, value: float) -> str:
    return f"{100 * value:.2f}" if depth == records.FINAL else f"rk={depth} {100 * value:.2f}"
