"""Records: claimed by one process, described, and written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from harness import records
from harness.evaluation import trec
from harness.measure import artifacts, results
from harness.measure.cells import Cell, Options, Request
from harness.measure.pending import State, has_other_inputs, state_of
from harness.measure.results import Result, merge
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.ranking.ranks import Ranking, reorder
from harness.records import Record, failures, notes
from harness.system import locks, provenance
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.messages import warn_once
from harness.system.progress import Stopwatch

log = logging.getLogger(__name__)
_RECORDED = ("model", "dataset", "center", "method", "depths", "shard")
SETTINGS = ("device", "threads", "batch_tokens", "memory_mb")
"""Options that may change a result by rounding."""
Rankings = dict[str, Int[np.ndarray, "queries k"]]
"""Depth -> document rows, best first."""


@dataclass(frozen=True)
class Claim:
    """A cell whose record this process may write.

    Attributes
    ----------
    result : None: there is nothing to write, as shards are missing or another process has written the record
    again : the cell's request, if it must be planned again: another process has made another record meanwhile
    """

    result: Result | None = None
    again: tuple[Request, ...] = ()


@contextmanager
def claim(testbed: Testbed, cell: Cell) -> Iterator[Claim]:
    """Hold a cell's record for the time of a block, with the result on all shards that it is to be made from."""
    failures.clear(testbed.options.results, cell.key)
    if missing := _missing_shards(testbed, cell):
        log.info("%s: shard %s done, %s to go", cell.title, testbed.shard.name, ", ".join(missing))
        yield Claim()
        return
    # One lock for all processes that write the record, whatever their depths, inputs and cache.
    lock = (testbed.options.results / locks.FOLDER).joinpath(*cell.key[:-1], f"{cell.key.method}.lock")
    with locks.held(lock):
        state = State.MISSING if cell.overwrite else state_of(testbed, cell)
        if state is State.DONE:
            log.info("%s: finished by another process", cell.title)
            yield Claim()
        elif state is State.STALE:
            yield Claim(again=(cell.request,))
        else:
            parts = artifacts.of_shards(cell.files, testbed.shard)
            yield Claim(merge([results.read(part, cell.end_to_end) for part in parts], cell.k))


def _missing_shards(testbed: Testbed, cell: Cell) -> list[str]:
    """The shards on which the cell has no result yet."""
    files = artifacts.of_shards(cell.files, testbed.shard)
    shards = zip(testbed.shard.all, files, strict=True)
    return [shard.name for shard, part in shards if not part.exist(cell.end_to_end)]


def rankings_of(cell: Cell, result: Result) -> Rankings:
    """Each depth's ranking: the first `depth` candidates in the order of MaxSim, then the others as they were."""
    if result.maxsim is None:
        return {records.FINAL: result.ranking.rows}
    return {str(depth): rows for depth, rows in reorder(result.ranking.rows, result.maxsim, cell.depths).items()}


@dataclass(frozen=True)
class Scores:
    """What evaluating a cell gave.

    Attributes
    ----------
    ndcg10 : depth -> NDCG@10 of each query
    recall : depth -> mean share of a query's relevant documents among its first candidates
    seconds : phase -> seconds
    """

    ndcg10: dict[str, Float[np.ndarray, " queries"]]
    recall: dict[str, float]
    seconds: dict[str, float]


def evaluate(testbed: Testbed, cell: Cell, result: Result, rankings: Rankings) -> Scores:
    """NDCG@10 of each query at each depth, and the recall of the candidates."""
    watch = Stopwatch()
    with watch.phase("evaluate"):
        ndcg10 = {depth: testbed.evaluator.ndcg10(rows) for depth, rows in rankings.items()}
        recall = testbed.evaluator.candidate_recall(result.ranking.rows, [depth for depth in cell.depths if depth])
    return Scores(ndcg10, {str(depth): share for depth, share in recall.items()}, watch.seconds)


def write(testbed: Testbed, cell: Cell, result: Result, rankings: Rankings, scores: Scores) -> None:
    """Write the record of a cell, and its run files if they are asked for."""
    folder = testbed.options.results
    if testbed.options.save_runs:
        trec.save(folder, cell.key, testbed.dataset, rankings)
    elif has_other_inputs(testbed, cell):
        trec.remove(folder, cell.key)  # they belong to the record that is replaced
    record = describe(testbed, cell, result, scores)
    records.write(folder, record)
    means = [(depth, f"{100 * mean:.2f}") for depth, mean in record.ndcg10.items()]
    log.info(
        "%s: NDCG@10 %s",
        cell.title,
        "  ".join(mean if depth == records.FINAL else f"rk={depth} {mean}" for depth, mean in means),
    )


def describe(testbed: Testbed, cell: Cell, result: Result, scores: Scores) -> Record:
    """The record of a cell."""
    first, facts, options = result.ranking, result.facts, testbed.options
    zeros = {} if result.maxsim is None else {"zero_scores": int((first.scores == 0).sum())}
    config = _recorded(testbed, cell)
    return Record(
        *cell.key,
        ndcg10={depth: float(np.mean(values)) for depth, values in scores.ndcg10.items()},
        candidate_recall=scores.recall,
        candidates={**_counts(testbed, first, cell.k), "self_matches_removed": facts["self_matches_removed"]},
        seconds={**facts["seconds"], **scores.seconds},
        bytes={"tokens": facts["token_bytes"], "index": facts["index_bytes"]},
        details={
            **facts["details"],
            **zeros,
            "documents": facts["documents"],
            "document_tokens": facts["tokens"],
            "shards": testbed.shard.count,
            **asdict(testbed.counts),
        },
        notes=[*testbed.notes, *_found_nothing(testbed, cell, first), *_mean_note(cell)],
        identity=cell.identity,
        config=config,
        sha256={
            "config": digest(config),
            "data": testbed.dataset.sha256,
            "weights": testbed.checkpoint.sha256,
            "code": provenance.code(),
        },
        seeds={"model": options.model.seed, "method": cell.method.given.get("seed")},
        versions=provenance.versions(),
        host=provenance.host(testbed.resources.device),
        commit=provenance.commit(),
        started=testbed.started,
        per_query={"queries": list(testbed.dataset.queries), **{d: s.tolist() for d, s in scores.ndcg10.items()}},
    )


def _mean_note(cell: Cell) -> list[str]:
    return [notes.MEAN + cell.mean.source] if cell.mean else []


def _found_nothing(testbed: Testbed, cell: Cell, first: Ranking) -> list[str]:
    """A line, and a warning, if some queries have no candidate: they count as 0.

    Raises
    ------
    HarnessError
        If no query has one: a search that finds nothing is a fault, not a score of 0.
    """
    count, queries = int((first.counts == 0).sum()), len(first.rows)
    if not count:
        return []
    why = registry.traits(cell.method.name).finds_nothing
    where = f"{registry.title(cell.method.name)} found no document for {count} of {queries} queries"
    if count == queries:
        raise HarnessError(f"{where}, expected some: {why or 'the corpus has no document that they may find'}.")
    line = f"{where}, which count as 0" + (f"; {why}" if why else "")
    warn_once(log, "%s: %s", testbed.options.title, line)
    return [notes.PAIR + line]


def _counts(testbed: Testbed, first: Ranking, k: int) -> dict[str, Any]:
    """How many candidates the queries got, and how many of them got fewer than asked for (and than exist)."""
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


def _recorded(testbed: Testbed, cell: Cell) -> Options:
    """The options that a record keeps: what the cell depends on, and how it was computed; paths lose their folders."""
    given = testbed.options.given
    options = {
        **given,
        "dataset": testbed.options.dataset,
        "method": cell.method.identity(),
        "center": cell.center.given,
    }
    kept = {key: options[key] for key in (*_RECORDED, *SETTINGS)}
    for group in ("model", "dataset"):
        names = {key: Path(kept[group][key]).name for key in ("path", "head") if kept[group].get(key)}
        kept[group] = {**kept[group], **names}
    return kept
