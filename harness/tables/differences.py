"""The difference between two records on the same queries, and how far it varies with their draws.

If both have draws with the same seeds, the difference is taken within each draw: the two first stages may have the same
projections. Else the draws of each record vary by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.config.seeds import Seeds
from harness.evaluation.significance import Deviation, deviations
from harness.records import Record
from harness.system.errors import HarnessError

Drawn = tuple[Seeds, Float[np.ndarray, "_draws queries"]]
"""Seeds, and for each of them a value for each query; two sides may have different numbers of draws."""


@dataclass(frozen=True)
class Difference:
    """First minus second, in the order of the queries' ids: independent of the records' order.

    Attributes
    ----------
    mean : NDCG@10 of each query, -1 to 1, means over draws
    varying : what varies with its draws, by itself: the difference within draws, or each record
    """

    mean: Float[np.ndarray, " queries"]
    varying: list[Drawn]

    @classmethod
    def of(cls, first: Record, depth: str, second: Record, other_depth: str) -> Difference:
        """The difference of two records at a depth of each.

        Raises
        ------
        HarnessError
            If they have different queries.
        """
        left, right = first.query_scores(depth), second.query_scores(other_depth)
        if left.keys() != right.keys():
            raise HarnessError(
                f"the records of model '{first.model}' on '{first.dataset}' have different queries: {first.method} "
                f"(center {first.center}) has {len(left)}, {second.method} (center {second.center}) has {len(right)}, "
                f"and {len(left.keys() & right.keys())} are in both, expected the same in both: measure both again "
                "with overwrite=true."
            )
        mean = np.array([left[query] - right[query] for query in sorted(left)])
        (seeds, values), (other_seeds, others) = _drawn(first, depth), _drawn(second, other_depth)
        if seeds == other_seeds and len(seeds) > 1:
            return cls(mean, [(seeds, values - others)])
        return cls(mean, [(seeds, values), (other_seeds, others)])


Differences = dict[str, Difference]
"""Data set -> difference."""


def deviations_of(differences: Differences) -> list[Deviation]:
    """How far the mean over data sets varies with the draws of both sides, in percentage points."""
    found = []
    for side in (0, 1):
        drawn = {name: _side(difference, side) for name, difference in differences.items()}
        found += deviations(drawn)
    return found


def _side(difference: Difference, side: int) -> Drawn:
    """What varies on one side, in percentage points: nothing on the second if draws are compared one by one."""
    if side >= len(difference.varying):
        return (None,), np.zeros((1, len(difference.mean)))
    seeds, values = difference.varying[side]
    return seeds, 100 * values


def _drawn(record: Record, depth: str) -> Drawn:
    """A record's scores in each draw, sorted by query id."""
    queries = record.per_query["queries"]
    order = sorted(range(len(queries)), key=queries.__getitem__)
    values = record.draws.ndcg10[depth] if record.draws.seeds else np.array([record.per_query[depth]])
    return record.draw_seeds, values[:, order]
