"""Scores: the rankings of a draw at each depth, evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from harness import records
from harness.config.measures import Measure
from harness.evaluation.agreement import exact_recall
from harness.measure import results
from harness.measure.cells import Cell
from harness.measure.results import Result
from harness.measure.testbed import Testbed
from harness.ranking.ranks import reorder
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch

Rankings = dict[str, Int[np.ndarray, "queries k"]]
"""Depth -> document rows, best first."""
ByDepth = dict[str, Float[np.ndarray, "..."]]
"""Depth -> score of each query; of several draws, [draws, queries]."""


def rankings_of(cell: Cell, result: Result) -> Rankings:
    """Each depth's ranking: the first `depth` candidates in the order of MaxSim, then the others as they were."""
    if result.maxsim is None:
        return {records.FINAL: result.ranking.rows}
    return {str(depth): rows for depth, rows in reorder(result.ranking.rows, result.maxsim, cell.depths).items()}


@dataclass(frozen=True)
class Scores:
    """What evaluating a draw gave.

    Attributes
    ----------
    ndcg10 : depth -> NDCG@10 of each query
    measures : further measure -> the same
    recall : depth -> mean share of a query's relevant documents among its first candidates
    seconds : phase -> seconds
    """

    ndcg10: ByDepth
    measures: dict[str, ByDepth]
    recall: dict[str, float]
    seconds: dict[str, float]


def evaluate(testbed: Testbed, cell: Cell, result: Result, rankings: Rankings, exact: Cell | None) -> Scores:
    """NDCG@10 and the further measures of each query at each depth, and the recall of the candidates.

    Parameters
    ----------
    exact
        Exact search, which some measures compare with.

    Raises
    ------
    HarnessError
        If such a measure is asked for, and exact search has no ranking of all documents.
    """
    watch, evaluator = Stopwatch(), testbed.evaluator
    with watch.phase("evaluate"):
        ndcg10 = {depth: evaluator.ndcg10(rows) for depth, rows in rankings.items()}
        best = _exact_rows(testbed, exact) if cell.needs_exact else None
        measures = {
            measure.name: {
                depth: evaluator.score(measure, rows)
                if best is None or not measure.needs_exact
                else _exact_recall(measure, result.ranking.rows, best, depth)
                for depth, rows in rankings.items()
            }
            for measure in cell.measures
        }
        recall = evaluator.candidate_recall(result.ranking.rows, [depth for depth in cell.depths if depth])
    return Scores(ndcg10, measures, {str(depth): share for depth, share in recall.items()}, watch.seconds)


def _exact_rows(testbed: Testbed, exact: Cell | None) -> Int[np.ndarray, "queries k"]:
    """The documents that exact search found."""
    if exact is None or results.missing_shards(exact, testbed.shard):
        raise HarnessError(
            f"{testbed.options.title}: exact search has no ranking of all documents, expected one to compare with "
            "(agreement=true): run method=exact with the same depths first, on each shard if there are several."
        )
    return results.of_draw(exact, testbed.shard).ranking.rows


def _exact_recall(
    measure: Measure, rows: Int[np.ndarray, "queries k"], exact: Int[np.ndarray, "queries documents"], depth: str
) -> Float[np.ndarray, " queries"]:
    """Share of exact search's first documents among the first `depth` candidates, of those alone among as many."""
    is_alone = depth in ("0", records.FINAL)
    return exact_recall(rows, exact, measure.cut, measure.cut if is_alone else int(depth))
