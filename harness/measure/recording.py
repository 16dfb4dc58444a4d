"""Records: claimed by one process, described, and written."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Int

from harness import records
from harness.config import seeds
from harness.config.options import MethodOptions
from harness.evaluation import trec
from harness.measure import results
from harness.measure.cells import Cell, Options, Request
from harness.measure.pending import State, has_other_inputs, state_of
from harness.measure.results import Result, mean_facts
from harness.measure.scores import ByDepth, Rankings, Scores
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.ranking.ranks import Ranking
from harness.records import FOREIGN, Draws, Record, failures, notes
from harness.system import locks, provenance
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.messages import warn_once

log = logging.getLogger(__name__)
_RECORDED = ("model", "dataset", "center", "method", "depths", "shard")
SETTINGS = ("device", "threads", "batch_tokens", "memory_mb")
"""Options that may change a result by rounding."""


@dataclass(frozen=True)
class Claim:
    """A cell whose record this process may write.

    Attributes
    ----------
    results : of each draw; none if there is nothing to write, as shards are missing or another process has written the
        record
    again : the cell's request, if it must be planned again: another process has made another record meanwhile
    """

    results: tuple[Result, ...] = ()
    again: tuple[Request, ...] = ()


@contextmanager
def claim(testbed: Testbed, cell: Cell) -> Iterator[Claim]:
    """Hold a cell's record for the time of a block, with the results on all shards that it is to be made from."""
    failures.clear(testbed.options.results, cell.key)
    if missing := results.missing_shards(cell, testbed.shard):
        log.info("%s: shard %s done, %s to go", cell.title, testbed.shard.name, ", ".join(missing))
        yield Claim()
        return
    # One lock for all processes that write the record, whatever their depths, inputs and cache.
    lock = (testbed.options.results / locks.FOLDER).joinpath(*cell.key[:-1], f"{cell.key.method}.lock")
    with locks.held(lock):
        state = State.MISSING if cell.overwrite else state_of(testbed, cell)
        if state is State.DONE:
            log.info("%s: recorded already", cell.title)
            yield Claim()
        elif state is State.STALE:
            yield Claim(again=(cell.request,))
        else:
            yield Claim(tuple(results.of_draw(draw, testbed.shard) for draw in cell.each_draw))


def keep_runs(testbed: Testbed, cell: Cell, draw: Cell, rankings: Rankings) -> list[Path]:
    """Write the run files of a draw of a cell, if they are asked for; returns their paths."""
    if not testbed.options.save_runs:
        return []
    seed = draw.method.given["seed"] if cell.draws else None
    return trec.save(testbed.options.results, cell.key, testbed.dataset, rankings, seed)


def write(
    testbed: Testbed, cell: Cell, found: Sequence[Result], scores: Sequence[Scores], runs: Collection[Path]
) -> None:
    """Write the record of a cell, given what was found and scored in each draw, and the run files of all draws."""
    folder = testbed.options.results
    if has_other_inputs(testbed, cell):
        trec.remove(folder, cell.key, runs)  # the others belong to the record that is replaced
    record = describe(testbed, cell, found, scores)
    records.write(folder, record)
    means = [(depth, f"{100 * mean:.2f}") for depth, mean in record.ndcg10.items()]
    log.info(
        "%s: NDCG@10 %s%s",
        cell.title,
        "  ".join(mean if depth == records.FINAL else f"rk={depth} {mean}" for depth, mean in means),
        f", mean of {len(cell.draws)} draws" if len(cell.draws) > 1 else "",
    )


def describe(testbed: Testbed, cell: Cell, found: Sequence[Result], scores: Sequence[Scores]) -> Record:
    """The record of a cell: of several draws, the means of scores and costs, and of counts the worst."""
    facts, options = mean_facts([result.facts for result in found]), testbed.options
    firsts, config = [result.ranking for result in found], _recorded(testbed, cell)
    reranked = [ranking for ranking, result in zip(firsts, found, strict=True) if result.maxsim is not None]
    zeros = {"zero_scores": max(int((first.scores == 0).sum()) for first in reranked)} if reranked else {}
    ndcg10 = _stacked([one.ndcg10 for one in scores])
    measures = {name: _stacked([one.measures[name] for one in scores]) for name in scores[0].measures}
    means = {depth: values.mean(axis=0) for depth, values in ndcg10.items()}
    return Record(
        *cell.key,
        ndcg10={depth: float(np.mean(values)) for depth, values in means.items()},
        candidate_recall={depth: fmean(one.recall[depth] for one in scores) for depth in scores[0].recall},
        candidates={
            **shortfall(firsts, testbed.self_rows, len(testbed.dataset.docs), cell.k),
            "self_matches_removed": facts["self_matches_removed"],
        },
        seconds={**facts["seconds"], "evaluate": fmean(one.seconds["evaluate"] for one in scores)},
        bytes={**({"tokens": facts["token_bytes"]} if cell.needs_tokens else {}), **_index_bytes(facts)},
        details={
            **facts["details"],
            **zeros,
            "documents": facts["documents"],
            **({"document_tokens": facts["tokens"]} if cell.needs_tokens else {}),
            "shards": testbed.shard.count,
            **asdict(testbed.counts),
        },
        notes=[
            *(testbed.notes if cell.needs_tokens else testbed.notes_on_texts),
            *_found_nothing(testbed, cell, firsts),
            *_mean_note(cell),
            *_foreign_notes(cell),
        ],
        identity=cell.identity,
        config=config,
        sha256={
            "config": digest(config),
            "data": testbed.dataset.sha256,
            **testbed.source.inputs,
            "code": provenance.code(),
        },
        seeds={"model": options.model.seed, "method": cell.method.given.get("seed")},
        versions=provenance.versions(),
        host=provenance.host(testbed.resources.device),
        commit=provenance.commit(),
        started=testbed.started,
        per_query={"queries": list(testbed.dataset.queries), **{d: s.tolist() for d, s in means.items()}},
        measures={
            name: {depth: values.mean(axis=0).tolist() for depth, values in found.items()}
            for name, found in measures.items()
        },
        draws=Draws(cell.seeds, ndcg10, measures) if cell.draws else Draws(),
    )


def _stacked(scores: Sequence[ByDepth]) -> ByDepth:
    """The scores of all draws together."""
    return {depth: np.stack([one[depth] for one in scores]) for depth in scores[0]}


def _index_bytes(facts: Options) -> dict[str, int]:
    """Nothing for another engine's index, whose size is not known."""
    return {} if facts["index_bytes"] is None else {"index": facts["index_bytes"]}


def foreign_note(method: MethodOptions) -> str:
    """The note that a run comes from elsewhere."""
    return f"{notes.PAIR}{method.name} is the run of another engine, read from {method.given['file']}"


def _foreign_notes(cell: Cell) -> list[str]:
    return [foreign_note(cell.method)] if cell.method.name.startswith(FOREIGN) else []


def _mean_note(cell: Cell) -> list[str]:
    return [notes.MEAN + cell.mean.source] if cell.mean else []


def _found_nothing(testbed: Testbed, cell: Cell, firsts: Sequence[Ranking]) -> list[str]:
    """A line, and a warning, if some queries have no candidate: they count as 0.

    Raises
    ------
    HarnessError
        If no query has one in some draw: a search that finds nothing is a fault, not a score of 0.
    """
    count, queries = max(int((first.counts == 0).sum()) for first in firsts), len(firsts[0].rows)
    if not count:
        return []
    why = registry.traits(cell.method.name).finds_nothing
    where = f"{registry.title(cell.method.name)} found no document for {count} of {queries} queries"
    if count == queries:
        raise HarnessError(f"{where}, expected some: {why or 'the corpus has no document that they may find'}.")
    line = f"{where}, which count as 0" + (f"; {why}" if why else "")
    warn_once(log, "%s: %s", testbed.options.title, line)
    return [notes.PAIR + line]


def shortfall(
    firsts: Sequence[Ranking], self_rows: Int[np.ndarray, " queries"], documents: int, k: int
) -> dict[str, Any]:
    """How many candidates the queries got, and how many of them got fewer than asked for (and than exist).

    If the cell has several draws, ``fewest`` and ``mean`` are over all of them, and ``queries_with_fewer`` is the
    number of the draw that has the most such queries.
    """
    asked = np.minimum(k, documents - (self_rows >= 0))
    counts = np.stack([first.counts for first in firsts])
    fewer = int((counts < asked).sum(axis=1).max())
    if fewer:
        shortest, most = int(counts.min()), int(asked.max())
        log.info("%d of %d queries got fewer candidates than asked for: %d to %d", fewer, len(asked), shortest, most)
    return {
        "asked": k,
        "fewest": int(counts.min()),
        "mean": float(counts.mean()),
        "queries_with_fewer": fewer,
    }


def _asked_seeds(cell: Cell) -> Options:
    return {"seeds": seeds.written(cell.method.given["seed"], cell.seeds)} if cell.draws else {}


def _recorded(testbed: Testbed, cell: Cell) -> Options:
    """The options that a record keeps: what the cell depends on, and how it was computed; paths lose their folders."""
    given = testbed.options.given
    options = {
        **given,
        "dataset": testbed.options.dataset,
        "method": {**cell.method.identity(), **_asked_seeds(cell)},
        "center": cell.center.given,
    }
    kept = {key: options[key] for key in (*_RECORDED, *SETTINGS)}
    for group in ("model", "dataset"):
        names = {key: Path(kept[group][key]).name for key in ("path", "head") if kept[group].get(key)}
        kept[group] = {**kept[group], **names}
    return kept
