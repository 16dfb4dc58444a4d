"""The pipeline, top to bottom, for all cells of a (data set, model): (centering, method).

    data set -> token vectors -> centering -> candidates -> self matches out -> MaxSim reranking -> NDCG@10 -> record

What cells have in common is computed once: the documents' codes for centerings that treat documents alike (``corpus``
and ``own``), and the MaxSim of a (query, document) pair, whichever methods, centerings and depths ask for it. PLAID,
exact search and reranking see the model's own vectors; centering is for MUVERA and SMVE alone. A cell whose record is
there is not computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from harness import records
from harness.config.names import model_name, safe_name
from harness.evaluation import trec
from harness.measure import artifacts
from harness.measure.artifacts import Candidates, MaxSim, Result
from harness.measure.cells import Cell, Options, Request, names_of
from harness.measure.grouping import alike, by_model, selected
from harness.measure.pending import cell_of, is_measured, is_of_other_inputs, is_outdated
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.methods.exact import search_and_score
from harness.methods.method import SearchResult
from harness.models.checkpoint import weights_note
from harness.ranking import maxsim
from harness.ranking.maxsim import Pairs
from harness.ranking.ranks import Ranking, drop_self_matches, reorder
from harness.records import failures as failed
from harness.records import results_dir
from harness.records.failures import Names
from harness.system import locks, provenance
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.progress import Stopwatch, bar
from harness.vectors import centering
from harness.vectors.store import stacked

log = logging.getLogger(__name__)
OF_A_CELL = ("model", "dataset", "center", "method", "depths", "shard")
SETTINGS = ("device", "threads", "batch_tokens", "memory_mb")
"""Options that may move a result by rounding."""


def run_cells(configs: Sequence[DictConfig]) -> list[str]:
    """Measure a method under a centering, and the reference, for each configuration, on every data set it names.

    A data set or a cell that fails does not stop the others.

    Returns
    -------
    One sentence for each failure.
    """
    failures: list[str] = []
    for options, chosen in by_model(configs):
        if options["threads"]:
            torch.set_num_threads(options["threads"])
        for dataset_options in selected(options):
            noted = partial(noting, failures, results_dir(options["results_dir"]))
            with noted(*title_and_names(options, dataset_options, chosen)):
                testbed = Testbed(options, dataset_options)
                with locks.measuring(testbed.cache, testbed.dataset_name, testbed.model_name):
                    failures += measure(testbed, chosen)
    return failures


def measure(testbed: Testbed, requests: Sequence[Request]) -> list[str]:
    """Measure the cells of a testbed that have no record yet; one sentence for each that fails.

    Each step is kept (`harness.measure.artifacts`), under a lock: what an earlier run or another process has done is not repeated.
    """
    failures: list[str] = []
    noted = partial(noting, failures, results_dir(testbed.config["results_dir"]))
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    cells = unfinished(testbed, requests, noted)
    exact, searched = [cell for cell in cells if cell.method["name"] == "exact"], []
    again: list[Request] = []
    for together in alike(cells):
        with noted("\n  ".join(map(_title, together)), [cell.names for cell in together]):
            for cell in search(testbed, together, noted):
                if cell.whole:  # nothing more to compute: not lost if something stops the rest
                    again += _finish(testbed, cell, started)
                else:
                    searched.append(cell)
    rest = [*exact, *searched]
    with noted("\n  ".join(map(_title, rest)), [cell.names for cell in rest]):
        for cell in _maxsim(testbed, searched, exact, noted):
            with noted(_title(cell), [cell.names]):
                again += _finish(testbed, cell, started)
    return failures + (measure(testbed, again) if again else [])


Noted = Callable[[str, Sequence[Names]], AbstractContextManager[None]]


def unfinished(testbed: Testbed, requests: Sequence[Request], noted: Noted) -> list[Cell]:
    """The cells that have no record with all depths yet."""
    results = results_dir(testbed.config["results_dir"])
    cells: dict[Names, Cell] = {}
    for request in sorted(
        requests, key=lambda request: request.asked
    ):  # what is asked for replaces the same as reference
        title = f"{testbed.dataset_name}  {request.center['name']}  {request.method['name']}"
        with noted(title, _names(testbed.dataset_name, testbed.config["model"], [request])):
            cell = cell_of(testbed, request)
            if not cell.depths and cell.names not in cells:
                failed.clear(results, cell.names)
                log.log(logging.INFO if request.asked else logging.DEBUG, "%s: finished before", _title(cell))
            cells[cell.names] = cell
    return [cell for cell in cells.values() if cell.depths]


def search(testbed: Testbed, cells: list[Cell], noted: Noted) -> list[Cell]:
    """The candidates of some cells that are `alike`: one search, queries side by side.

    Returns
    -------
    The cells that have them now: all but those that cannot be centered.
    """
    with ExitStack() as stack:
        # In one order: no two processes wait on each other.
        for path in sorted(cell.files.candidates for cell in cells):
            stack.enter_context(locks.held(locks.of(path)))
        ready = [cell for cell in cells if not cell.anew and cell.files.candidates.exists()]
        watch, centered, shifts = Stopwatch(), [], []
        with watch.phase("center"):
            for cell in cells:
                if cell not in ready:
                    with noted(_title(cell), [cell.names]):
                        shifts.append(_centering(testbed, cell))
                        centered.append(cell)
        if not centered:
            return ready
        method, k = centered[0].method, centered[0].k
        of_method = registry.make(method)
        queries = stacked([shift.apply_queries(testbed.queries) for shift in shifts])
        found = of_method.search(shifts[0].apply_documents(testbed.docs), queries, k + 1, testbed.resources)
        count = len(testbed.queries)
        for i, cell in enumerate(centered):
            rows = slice(i * count, (i + 1) * count)
            _keep(testbed, cell, found, Ranking(found.ranking.rows[rows], found.ranking.scores[rows]), watch.seconds)
        return ready + centered


def _centering(testbed: Testbed, cell: Cell) -> centering.Centering:
    kind = centering.KINDS[cell.center["name"]]
    mu_d = testbed.document_mean if kind.needs_document_mean else None
    others = testbed.encode_mean(cell.mean) if cell.mean else None
    return centering.fit(cell.center["name"], mu_d, others, cell.center["renormalize"])


def _keep(testbed: Testbed, cell: Cell, found: SearchResult, ranking: Ranking, seconds: dict[str, float]) -> None:
    """Write a cell's candidates, without self matches."""
    docs = testbed.docs
    first, dropped = drop_self_matches(ranking, testbed.self_rows_of_shard, cell.k)
    facts = {
        "documents": len(docs),
        "tokens": int(docs.offsets[-1]),
        "token_bytes": docs.nbytes,
        "index_bytes": found.index_bytes,
        "self_matches_removed": dropped,
        "seconds": {**testbed.encode_seconds, **seconds, **_of_method(cell.method["name"], found)},
        "details": found.details,
    }
    rows = np.where(first.rows < 0, -1, first.rows + testbed.rows.start)
    artifacts.write_candidates(cell.files.candidates, Candidates(Ranking(rows, first.scores), facts))


def _maxsim(testbed: Testbed, cells: list[Cell], exact: list[Cell], noted: Noted) -> list[Cell]:
    """The MaxSim of every pair that a cell asks for and that is not known, in one pass; for exact search, of all.

    Returns
    -------
    The cells that have it now: all but those whose files are damaged.
    """
    if not cells and not exact:
        return []
    with locks.held(testbed.stages / f"maxsim{testbed.shard.suffix}.lock"):
        ready, wanted = list(exact), []
        for cell in cells:
            with noted(_title(cell), [cell.names]):
                rows = artifacts.read_candidates(cell.files.candidates).ranking.rows[:, : cell.depths[-1]]
                if cell.anew or not artifacts.has_maxsim(cell.files, rows):
                    wanted.append((cell, rows))
                ready.append(cell)
        exact = [cell for cell in exact if cell.anew or not cell.files.candidates.exists()]
        if not wanted and not exact:
            return ready
        watch, resources, spent = Stopwatch(), testbed.resources, 0.0
        queries, docs, start = testbed.queries, testbed.docs, testbed.rows.start
        pairs = Pairs.of([rows - start for _, rows in wanted], len(queries))
        with watch.phase("rerank"):
            if exact:
                found, scores = search_and_score(docs, queries, exact[0].k + 1, pairs, resources)
            else:
                anew = any(cell.anew for cell, _ in wanted)
                known = [] if anew else artifacts.known(testbed.stages, testbed.shard)
                scores, missing, spent = pairs.known((rows - start, kept, cost) for rows, kept, cost in known)
                if missing.any():
                    with bar("MaxSim", len(docs), resources.show, device=resources.device) as progress:
                        asked = (queries, docs, pairs.only(missing), resources.block_bytes, resources.device)
                        scores[missing] = maxsim.score(*asked, tick=progress.update)
        if exact:
            _keep(testbed, exact[0], found, found.ranking, {})
        seconds = watch.seconds["rerank"] + spent  # as if nothing had been known: what reranking costs
        for cell, rows in wanted:
            kept = MaxSim.of(rows, pairs.look_up(scores, rows - start), len(pairs), seconds)
            artifacts.write_maxsim(cell.files.maxsim, kept)
        return ready


def _finish(testbed: Testbed, cell: Cell, started: str) -> list[Request]:
    """The record of a cell; of a shard, only if it is the last one.

    Returns
    -------
    The cell's request if it must be planned again, as another process has made another record meanwhile.
    """
    every = artifacts.of_shards(cell.files, testbed.shard)
    done = [one.are_there(cell.whole) for one in every]
    failed.clear(results_dir(testbed.config["results_dir"]), cell.names)
    if not all(done):
        missing = [shard.name for shard, is_done in zip(testbed.shard.all, done, strict=True) if not is_done]
        log.info("%s: shard %s done, %s to go", _title(cell), testbed.shard.name, ", ".join(missing))
        return []
    with locks.held(_record_lock(testbed, cell)):
        if not cell.anew:
            if is_measured(testbed.config, cell):
                log.info("%s: finished by another process", _title(cell))
                return []
            if is_outdated(testbed.config, cell):
                return [cell.request]
        _record(testbed, cell, artifacts.merge([artifacts.read(one, cell.whole) for one in every], cell.k), started)
        return []


def _record_lock(testbed: Testbed, cell: Cell) -> Path:
    """One for all who write a cell's record, whatever their depths, inputs and cache."""
    return results_dir(testbed.config["results_dir"]).joinpath(locks.FOLDER, *cell.names[:-1], f"{cell.names[-1]}.lock")


def _record(testbed: Testbed, cell: Cell, result: Result, started: str) -> None:
    """Rank at all depths, evaluate, and write the record (and run files) of a cell."""
    config, first, facts, watch = testbed.config, result.ranking, result.facts, Stopwatch()
    if result.maxsim is None:
        rankings = {records.FINAL: first.rows}
    else:
        rankings = {str(depth): rows for depth, rows in reorder(first.rows, result.maxsim, cell.depths).items()}
    with watch.phase("evaluate"):
        per_query = {depth: testbed.evaluator.ndcg10(rows) for depth, rows in rankings.items()}
        deep = [depth for depth in cell.depths if depth]
        recall = {str(depth): share for depth, share in testbed.evaluator.candidate_recall(first.rows, deep).items()}
    results = results_dir(config["results_dir"])
    if config["save_runs"]:
        trec.save(results, cell.names, testbed.dataset, rankings)
    elif is_of_other_inputs(config, cell):
        trec.remove(results, cell.names)  # they are of the record that is replaced
    note = weights_note(config["model"], testbed.checkpoint.backbone)
    zeros = {} if result.maxsim is None else {"zero_scores": int((first.scores == 0).sum())}
    options = {**config, "dataset": testbed.dataset_options, "method": cell.method, "center": cell.center}
    configured = _portable(options)
    record = records.Record(
        *cell.names,
        ndcg10={depth: float(np.mean(values)) for depth, values in per_query.items()},
        candidate_recall=recall,
        candidates={**_counts(testbed, first, cell.k), "self_matches_removed": facts["self_matches_removed"]},
        seconds={**facts["seconds"], **watch.seconds},
        bytes={"tokens": facts["token_bytes"], "index": facts["index_bytes"]},
        details={
            **facts["details"],
            **zeros,
            "documents": facts["documents"],
            "document_tokens": facts["tokens"],
            "shards": testbed.shard.count,
        },
        notes=([note] if note else []) + ([f"mu_Q: {cell.mean.source}"] if cell.mean else []),
        identity=cell.identity,
        config=configured,
        sha256=_sha256(testbed, configured),
        seeds={"model": config["model"].get("seed"), "method": cell.method.get("seed")},
        versions=provenance.versions(),
        host=provenance.host(testbed.resources.device),
        commit=provenance.commit(),
        started=started,
        per_query={"queries": list(testbed.dataset.queries), **{d: s.tolist() for d, s in per_query.items()}},
    )
    records.write(results, record)
    log.info("%s: NDCG@10 %s", _title(cell), "  ".join(_score(*item) for item in record.ndcg10.items()))


@contextmanager
def noting(failures: list[str], results: Path, what: str, cells: Sequence[Names]) -> Iterator[None]:
    """Note what goes wrong in one part of the work, for each of its cells, and go on with the others."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, HarnessError):
            log.exception("unexpected %s", type(error).__name__)
        failures.append(f"{what}: {error}")
        log.error("error: %s", failures[-1])
        for names in cells:
            failed.note(results, names, str(error))


def title_and_names(options: Options, dataset: Options, requests: Sequence[Request]) -> tuple[str, list[Names]]:
    """What stands for a (model, data set) in messages, and the names of its cells."""
    return f"{dataset['name']}  {options['model']['name']}", _names(dataset["name"], options["model"], requests)


def _names(dataset: str, model: Options, requests: Sequence[Request]) -> list[Names]:
    """Names of cells that may yet fail; none, if they have a name that no file can have."""
    try:
        return [names_of(safe_name("dataset", dataset), model_name(model), request) for request in requests]
    except HarnessError:
        return []


def _counts(testbed: Testbed, first: Ranking, k: int) -> Options:
    """How many candidates the queries got, and how many of them got fewer than asked for (and than there are)."""
    asked = np.minimum(k, len(testbed.dataset.docs) - (testbed.self_rows >= 0))
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
    """What of the configuration a cell depends on, and how it was computed; of a path, where it leads is left out."""
    kept = {key: config[key] for key in (*OF_A_CELL, *SETTINGS)}
    for group in ("model", "dataset"):
        named = {key: Path(kept[group][key]).name for key in ("path", "head") if kept[group].get(key)}
        kept[group] = {**kept[group], **named}
    return kept


def _sha256(testbed: Testbed, configured: Options) -> dict[str, str]:
    """Of what a record was made from and by."""
    of_inputs = {"data": testbed.dataset.sha256, "weights": testbed.checkpoint.sha256}
    return {"config": digest(configured), **of_inputs, "code": provenance.code()}


def _of_method(name: str, found: SearchResult) -> dict[str, float]:
    return {f"{name}_{phase}": seconds for phase, seconds in found.seconds.items()}


def _title(cell: Cell) -> str:
    return "  ".join(cell.names)


def _score(depth: str, value: float) -> str:
    return f"{100 * value:.2f}" if depth == records.FINAL else f"rk={depth} {100 * value:.2f}"
