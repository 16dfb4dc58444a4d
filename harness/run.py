"""The pipeline, top to bottom, for all cells of a (data set, model): (centering, method).

    data set -> token vectors -> centering -> candidates -> self matches out -> MaxSim reranking -> NDCG@10 -> record

What cells have in common is computed once: the documents' codes for centerings that treat documents alike (``corpus``
and ``own``), and the MaxSim of a (query, document) pair, whichever methods, centerings and depths ask for it. PLAID,
exact search and reranking see the model's own vectors; centering is for MUVERA and SMVE alone. A cell whose record is
there is not computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from harness import center, locks, maxsim, models, partials, provenance, records, trec
from harness import failures as failed
from harness.candidates import Found, Method
from harness.candidates.exact import Exact, search_and_score
from harness.candidates.muvera import Muvera
from harness.candidates.plaid import Plaid
from harness.candidates.smve import Smve
from harness.config import safe_name
from harness.errors import HarnessError
from harness.failures import Names
from harness.maxsim import Pairs
from harness.partials import Partial
from harness.plan import Cell, Choice, Options, alike, by_model, cell_of, names_of, results_dir, selected
from harness.progress import Stopwatch, bar
from harness.ranking import Ranking, drop_self_matches, reorder
from harness.store import stacked
from harness.subject import Subject, model_name

log = logging.getLogger(__name__)
OF_TRAINING = ("objective", "train_data", "alpha", "train")
METHODS: dict[str, type[Method]] = {"exact": Exact, "muvera": Muvera, "plaid": Plaid, "smve": Smve}


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
            names = _names(dataset_options["name"], options["model"], chosen)
            title = f"{dataset_options['name']}  {options['model']['name']}"
            with _noted(failures, results_dir(options["results_dir"]), title, names):
                subject = Subject(options, dataset_options)
                with locks.measuring(subject.cache, subject.dataset_name, subject.model_name):
                    failures += measure(subject, chosen)
    return failures


@dataclass(frozen=True)
class FirstStage:
    """What a cell's first stage found: as it came, and without self matches (rows are those of the shard)."""

    cell: Cell
    found: Found
    ranking: Ranking
    dropped: int
    seconds: dict[str, float]


def measure(subject: Subject, choices: Sequence[Choice]) -> list[str]:
    """Measure the cells of a subject that have no record yet; one sentence for each that fails."""
    failures: list[str] = []
    results = results_dir(subject.config["results_dir"])
    noted = partial(_noted, failures, results)
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    cells: dict[tuple[str, ...], Cell] = {}
    for choice in sorted(choices, key=lambda choice: choice.asked):  # what is asked for replaces the same as reference
        title = f"{subject.dataset_name}  {choice.center['name']}  {choice.method['name']}"
        with noted(title, _names(subject.dataset_name, subject.config["model"], [choice])):
            cell = cell_of(subject, choice)
            known = cell.names in cells
            cells[cell.names] = cell
            if not cell.depths and not known:
                failed.clear(results, cell.names)
                log.log(logging.INFO if choice.asked else logging.DEBUG, "%s: finished before", _title(cell))
    cells = {names: cell for names, cell in cells.items() if cell.depths}
    exact, stages = [cell for cell in cells.values() if cell.method["name"] == "exact"], []
    for together in alike(list(cells.values())):
        with noted("\n  ".join(map(_title, together)), [cell.names for cell in together]):
            for stage in _first_stages(subject, together):
                if stage.cell.whole:  # nothing more to compute: not lost if something stops the rest
                    _finish(subject, stage, None, {}, started)
                else:
                    stages.append(stage)
    rest = [*exact, *(stage.cell for stage in stages)]
    with noted("\n  ".join(map(_title, rest)), [cell.names for cell in rest]):
        ranked, pairs, scores, seconds = _maxsim(subject, stages, exact)
        for stage in ranked:
            with noted(_title(stage.cell), [stage.cell.names]):
                scores_of_cell = None if stage.cell.whole else pairs.look_up(scores, _deepest(stage))
                _finish(subject, stage, scores_of_cell, {} if stage.cell.whole else seconds, started)
    return failures


def _first_stages(subject: Subject, cells: list[Cell]) -> list[FirstStage]:
    """Search once for all cells of one method whose documents are encoded alike: their queries side by side."""
    watch = Stopwatch()
    method, k = cells[0].method, cells[0].k
    with watch.phase("center"):
        shifts = [_centering(subject, cell) for cell in cells]
    search = METHODS[method["name"]](**{key: value for key, value in method.items() if key != "name"}).search
    queries = stacked([shift.apply_queries(subject.queries) for shift in shifts])
    found = search(shifts[0].apply_documents(subject.docs), queries, k + 1, subject.resources)
    count, stages = len(subject.queries), []
    for i, cell in enumerate(cells):
        rows = slice(i * count, (i + 1) * count)
        ranking = Ranking(found.ranking.rows[rows], found.ranking.scores[rows])
        first, dropped = drop_self_matches(ranking, subject.self_rows_of_shard, k)
        stages.append(FirstStage(cell, found, first, dropped, watch.seconds))
    return stages


def _centering(subject: Subject, cell: Cell) -> center.Centering:
    if cell.center["name"] == "none":
        return center.Centering()
    others = subject.encode_mean(cell.mean) if cell.mean else None
    return center.fit(cell.center["name"], subject.document_mean, others, cell.center["renormalize"])


def _maxsim(
    subject: Subject, stages: list[FirstStage], exact: list[Cell]
) -> tuple[list[FirstStage], Pairs, np.ndarray, dict[str, float]]:
    """The MaxSim of every pair that a cell asks for, in one pass; for exact search, of all pairs."""
    watch, resources = Stopwatch(), subject.resources
    queries, docs = subject.queries, subject.docs
    pairs = Pairs.of([_deepest(stage) for stage in stages], len(queries))
    scores = np.empty(0, dtype=np.float32)
    with watch.phase("rerank"):
        if exact:
            k = exact[0].k
            found, scores = search_and_score(docs, queries, k + 1, pairs, resources)
            stages = [
                *stages,
                FirstStage(exact[0], found, *drop_self_matches(found.ranking, subject.self_rows_of_shard, k), {}),
            ]
        elif len(pairs):
            with bar("MaxSim", len(docs), resources.show) as progress:
                scores = maxsim.score(
                    queries, docs, pairs, resources.block_bytes, resources.device, tick=progress.update
                )
    return stages, pairs, scores, watch.seconds


def _finish(
    subject: Subject, stage: FirstStage, scores: np.ndarray | None, rerank_seconds: dict[str, float], started: str
) -> None:
    """The record of a cell; of a shard, its partial result, and the record if it is the last one."""
    cell, found, docs = stage.cell, stage.found, subject.docs
    failed.clear(results_dir(subject.config["results_dir"]), cell.names)
    facts = {
        "documents": len(docs),
        "tokens": int(docs.offsets[-1]),
        "token_bytes": docs.nbytes,
        "index_bytes": found.index_bytes,
        "self_matches_removed": stage.dropped,
        "seconds": {
            **subject.encode_seconds,
            **stage.seconds,
            **_of_method(cell.method["name"], found),
            **rerank_seconds,
        },
        "details": found.details,
    }
    ranking = Ranking(
        np.where(stage.ranking.rows < 0, -1, stage.ranking.rows + subject.rows.start), stage.ranking.scores
    )
    result = partials.Partial(ranking, scores, facts)
    if not subject.shard.is_whole:
        path = partial(partials.path_of, subject.cache, cell.names, cell.identity, cell.k)
        partials.write(path(subject.shard), result)
        missing = [shard.name for shard in subject.shard.all if not path(shard).exists()]
        if missing:
            log.info("%s: shard %s done, %s to go", _title(cell), subject.shard.name, ", ".join(missing))
            return
        result = partials.merge([partials.read(path(shard)) for shard in subject.shard.all], cell.k)
    _record(subject, cell, result, started)


def _record(subject: Subject, cell: Cell, result: Partial, started: str) -> None:
    """Rank at all depths, evaluate, and write the record (and run files) of a cell."""
    config, first, facts, watch = subject.config, result.ranking, result.facts, Stopwatch()
    if result.maxsim is None:
        rankings = {records.FINAL: first.rows}
    else:
        rankings = {str(depth): rows for depth, rows in reorder(first.rows, result.maxsim, cell.depths).items()}
    with watch.phase("evaluate"):
        per_query = {depth: subject.judge.ndcg10(rows) for depth, rows in rankings.items()}
        deep = [depth for depth in cell.depths if depth]
        recall = {str(depth): share for depth, share in subject.judge.candidate_recall(first.rows, deep).items()}
    results = results_dir(config["results_dir"])
    if config["save_runs"]:
        trec.save(results, cell.names, subject.dataset, rankings)
    note = models.weights_note(config["model"], subject.checkpoint.backbone)
    zeros = {} if result.maxsim is None else {"zero_scores": int((first.scores == 0).sum())}
    record = records.Record(
        *cell.names,
        ndcg10={depth: float(np.mean(values)) for depth, values in per_query.items()},
        candidate_recall=recall,
        candidates={**_counts(subject, first, cell.k), "self_matches_removed": facts["self_matches_removed"]},
        seconds={**facts["seconds"], **watch.seconds},
        bytes={"tokens": facts["token_bytes"], "index": facts["index_bytes"]},
        details={
            **facts["details"],
            **zeros,
            "documents": facts["documents"],
            "document_tokens": facts["tokens"],
            "shards": subject.shard.count,
        },
        notes=([note] if note else []) + ([f"mu_Q: {cell.mean.source}"] if cell.mean else []),
        identity=cell.identity,
        config=_portable({**config, "dataset": subject.dataset_options, "method": cell.method, "center": cell.center}),
        versions=provenance.versions(),
        host=provenance.host(subject.resources.device),
        commit=provenance.commit(),
        started=started,
        per_query={"queries": list(subject.dataset.queries), **{d: s.tolist() for d, s in per_query.items()}},
    )
    records.write(results, record)
    log.info("%s: NDCG@10 %s", _title(cell), "  ".join(_score(*item) for item in record.ndcg10.items()))


@contextmanager
def _noted(failures: list[str], results: Path, what: str, cells: Sequence[Names]) -> Iterator[None]:
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


def _names(dataset: str, model: Options, choices: Sequence[Choice]) -> list[Names]:
    """Names of cells that may yet fail; none, if they have a name that no file can have."""
    try:
        return [names_of(safe_name("dataset", dataset), model_name(model), choice) for choice in choices]
    except HarnessError:
        return []


def _deepest(stage: FirstStage) -> np.ndarray:
    """The candidates that are reranked at the greatest depth."""
    return stage.ranking.rows[:, : stage.cell.depths[-1]]


def _counts(subject: Subject, first: Ranking, k: int) -> Options:
    """How many candidates the queries got, and how many of them got fewer than asked for (and than there are)."""
    asked = np.minimum(k, len(subject.dataset.docs) - (subject.self_rows >= 0))
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
    kept = {key: value for key, value in config.items() if not key.endswith("_dir") and key not in OF_TRAINING}
    for group in ("model", "dataset"):
        named = {key: Path(kept[group][key]).name for key in ("path", "head") if kept[group].get(key)}
        kept[group] = {**kept[group], **named}
    return kept


def _of_method(name: str, found: Found) -> dict[str, float]:
    return {f"{name}_{phase}": seconds for phase, seconds in found.seconds.items()}


def _title(cell: Cell) -> str:
    return "  ".join(cell.names)


def _score(depth: str, value: float) -> str:
    return f"{100 * value:.2f}" if depth == records.FINAL else f"rk={depth} {100 * value:.2f}"
