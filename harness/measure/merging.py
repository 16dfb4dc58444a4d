"""The results of a cell on the shards of a corpus, merged into the result on all documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.measure.artifacts import Result
from harness.ranking.ranks import Ranking


def merge(parts: Sequence[Result], k: int) -> Result:
    """The result on all documents: the k best of all parts, score descending, row ascending."""
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([part.ranking.rows for part in parts], axis=1)
    scores = np.concatenate([part.ranking.scores for part in parts], axis=1)
    order = np.lexsort((rows, -scores, rows < 0), axis=1)[:, :k]
    reranked = [part.maxsim for part in parts if part.maxsim is not None]
    maxsim = None
    if len(reranked) == len(parts):
        widths, depth = [part.ranking.rows.shape[1] for part in parts], max(one.shape[1] for one in reranked)
        padded = [np.pad(one, ((0, 0), (0, w - one.shape[1]))) for one, w in zip(reranked, widths, strict=True)]
        maxsim = np.take_along_axis(np.concatenate(padded, axis=1), order, axis=1)[:, :depth]
    ranking = Ranking(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))
    return Result(ranking, maxsim, _merged_facts([part.facts for part in parts]))


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
