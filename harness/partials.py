"""What one shard found for a cell, kept until all shards are there, and put together.

    cache_dir/shards/<data set>/<model>/<center>/<method>-<identity>-shard-i-of-n.npz

Each shard keeps its best k documents with their first-stage scores and, where they are reranked, their MaxSim. The k
best of all shards are those of the whole corpus, in the same order, with the same scores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.errors import HarnessError
from harness.files import digest, read_arrays, write_arrays
from harness.ranking import Ranking
from harness.shards import Shard


@dataclass(frozen=True)
class Partial:
    """A cell's result on some documents.

    Attributes
    ----------
    ranking : rows are those of the whole corpus
    maxsim : float32 [queries, depth] of the first candidates; None where nothing is reranked
    facts : documents, tokens, bytes, seconds, details, ...: what the record says of the search
    """

    ranking: Ranking
    maxsim: Float[np.ndarray, "queries depth"] | None
    facts: dict[str, Any]


def path_of(cache: Path, names: tuple[str, ...], identity: dict[str, Any], k: int, shard: Shard) -> Path:
    """Where the partial result of a cell is."""
    *folders, method = names
    return cache.joinpath("shards", *folders, f"{method}-{digest([identity, k])[:16]}{shard.suffix}.npz")


def write(path: Path, partial: Partial) -> None:
    """Keep a partial result."""
    maxsim = {} if partial.maxsim is None else {"maxsim": partial.maxsim}
    facts = json.dumps(partial.facts)
    write_arrays(path, rows=partial.ranking.rows, scores=partial.ranking.scores, facts=np.array(facts), **maxsim)


def read(path: Path) -> Partial:
    """Read a partial result.

    Raises
    ------
    HarnessError
        If the file is damaged, or not a partial result.
    """
    arrays = read_arrays(path)
    try:
        ranking = Ranking(arrays["rows"], arrays["scores"])
        return Partial(ranking, arrays.get("maxsim"), json.loads(str(arrays["facts"])))
    except (KeyError, ValueError) as error:
        raise HarnessError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it and run that shard again."
        ) from error


def merge(parts: list[Partial], k: int) -> Partial:
    """The result on all documents: the k best of all parts, score descending, row ascending."""
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
    return Partial(ranking, maxsim, _together([part.facts for part in parts]))


def _together(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers of all parts: added up; inside ``details`` (rates and sizes of one document), the mean by documents."""
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
