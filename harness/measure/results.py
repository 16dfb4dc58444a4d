"""The result of a draw: read from its artifacts, and merged over the shards of a corpus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.config.shards import Shard
from harness.measure import artifacts
from harness.measure.artifacts import CellFiles, read_candidates, read_maxsim
from harness.measure.cells import Cell
from harness.ranking.ranks import Ranking
from harness.system.errors import HarnessError


@dataclass(frozen=True)
class Result:
    """A cell's result on the documents of a shard, or on all.

    Attributes
    ----------
    maxsim : float32 [queries, depth] of the first candidates; None where nothing is reranked
    """

    ranking: Ranking
    maxsim: Float[np.ndarray, "queries depth"] | None
    facts: dict[str, Any]


def read(one: CellFiles, end_to_end: bool) -> Result:
    """A cell's result on one shard; a method that is `end_to_end` has no MaxSim.

    Raises
    ------
    HarnessError
        If one of its files is damaged, or its MaxSim was computed for other candidates.
    """
    found = read_candidates(one.candidates)
    if end_to_end:
        return Result(found.ranking, None, found.facts)
    reranked = read_maxsim(one.maxsim)
    if not reranked.fits(found.ranking.rows):
        raise HarnessError(
            f"{one.maxsim} was computed for other candidates than {one.candidates}: delete it and run again."
        )
    seconds = {**found.facts["seconds"], "rerank": reranked.seconds}
    return Result(found.ranking, reranked.scores, {**found.facts, "seconds": seconds})


def merge(parts: Sequence[Result], k: int) -> Result:
    """The result on all documents: the k best of all parts, score descending, row ascending.

    A part has the MaxSim of its first candidates to the greatest depth, or of all where it has fewer. The first
    candidates of the whole, to that depth, are among them.
    """
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([part.ranking.rows for part in parts], axis=1)
    scores = np.concatenate([part.ranking.scores for part in parts], axis=1)
    order = np.lexsort((rows, -scores, rows < 0), axis=1)[:, :k]
    reranked = [part.maxsim for part in parts if part.maxsim is not None]
    maxsim = None
    if len(reranked) == len(parts):
        widths = [part.ranking.rows.shape[1] for part in parts]
        depth = min((one.shape[1] for one, w in zip(reranked, widths, strict=True) if one.shape[1] < w), default=k)
        padded = [np.pad(one, ((0, 0), (0, w - one.shape[1]))) for one, w in zip(reranked, widths, strict=True)]
        maxsim = np.take_along_axis(np.concatenate(padded, axis=1), order, axis=1)[:, :depth]
    ranking = Ranking(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))
    return Result(ranking, maxsim, _merged_facts([part.facts for part in parts]))


def missing_shards(cell: Cell, shard: Shard) -> list[str]:
    """The shards on which a draw of a cell has no result yet."""
    parts = zip(*(artifacts.of_shards(draw.files, shard) for draw in cell.each_draw), strict=True)
    shards = zip(shard.all, parts, strict=True)
    return [one.name for one, draws in shards if not all(files.exist(cell.end_to_end) for files in draws)]


def of_draw(draw: Cell, shard: Shard) -> Result:
    """The result of a draw on all documents, from those on every shard."""
    parts = artifacts.of_shards(draw.files, shard)
    return merge([read(part, draw.end_to_end) for part in parts], draw.k)


def mean_facts(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Facts of all draws of a cell: the means of those that differ; whole numbers stay whole."""
    first, *others = facts
    if not others:
        return first
    return {key: _mean([one[key] for one in facts]) for key in first}


def _mean(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, dict):
        return {name: _mean([one[name] for one in values]) for name in first if all(name in one for one in values)}
    if isinstance(first, str) or all(value == first for value in values):
        return first
    mean = float(np.mean(values))
    return round(mean) if isinstance(first, int) else mean


def _merged_facts(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Facts of all parts: sums; inside ``details`` (rates and sizes per document), means weighted by documents."""
    weights = [one["documents"] for one in facts]
    added: dict[str, Any] = {}
    for key, value in facts[0].items():
        values = [one[key] for one in facts]
        if key == "details":
            added[key] = {
                name: values[0][name]
                if len({json.dumps(one[name]) for one in values}) == 1
                else float(np.average([one[name] for one in values], weights=weights))
                for name in value
            }
        elif key == "seconds":
            added[key] = {name: sum(one[name] for one in values) for name in value}
        else:
            added[key] = sum(values)
    return added
