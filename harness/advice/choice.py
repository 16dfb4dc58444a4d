"""The choice among candidates: which lose little enough to PLAID, with 95 % confidence, and which of them is cheapest.

A candidate passes if the lower bound of its mean difference to PLAID is at least -`loss`. The bounds hold for all
candidates at once (`harness.evaluation.significance.lower_bounds`), so that choosing the cheapest one that passes
keeps the confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.advice.candidates import Candidate
from harness.evaluation.significance import lower_bounds
from harness.system.errors import HarnessError
from harness.tables.differences import deviations_of

COSTS = ("bytes", "milliseconds")
RESAMPLES, FEWER = 20_000, 4_000
"""The queries are resampled so often for the advice, and for the advice without one of the data sets."""


@dataclass(frozen=True)
class Judged:
    """A candidate with its mean difference to PLAID and the lower bound of it, in points of NDCG@10 x 100."""

    candidate: Candidate
    delta: float
    bound: float

    def passes(self, loss: float) -> bool:
        """Whether it loses at most so many points, with 95 % confidence."""
        return self.bound >= -loss


def judged(candidates: Sequence[Candidate], datasets: Sequence[str], resamples: int = RESAMPLES) -> list[Judged]:
    """Each candidate's difference to PLAID on the mean over some data sets, and its bound.

    Raises
    ------
    HarnessError
        If a data set has a single query.
    """
    if not candidates:
        return []
    chosen = [{name: one.differences[name] for name in datasets} for one in candidates]
    if short := [name for name in datasets if len(chosen[0][name].mean) < 2]:
        raise HarnessError(
            f"{', '.join(short)} has one judged query, expected several: it does not say how far a difference may lie "
            "from that of other queries. Name other data sets with dataset=."
        )
    columns = {name: 100 * np.stack([sets[name].mean for sets in chosen], axis=1) for name in datasets}
    bounds = lower_bounds(columns, [deviations_of(sets) for sets in chosen], resamples)
    deltas = np.mean([values.mean(axis=0) for values in columns.values()], axis=0)
    return [Judged(*found) for found in zip(candidates, deltas.tolist(), bounds.tolist(), strict=True)]


def cheapest(found: Sequence[Judged], cost: str, loss: float) -> Judged | None:
    """The cheapest that passes; None if none does."""
    passing = [one for one in found if one.passes(loss)]
    return min(passing, key=lambda one: getattr(one.candidate, cost)) if passing else None


def best_cheaper(found: Sequence[Judged], chosen: Judged, cost: str) -> Judged | None:
    """The one with the highest bound among those that cost less than the chosen one: it loses least."""
    price = getattr(chosen.candidate, cost)
    cheaper = [one for one in found if getattr(one.candidate, cost) < price]
    return max(cheaper, key=lambda one: one.bound) if cheaper else None


def frontier(found: Sequence[Judged]) -> list[Judged]:
    """Those to which no other is better in all: bytes, milliseconds and the bound; by bytes."""

    def beats(one: Judged, other: Judged) -> bool:
        pairs = [(getattr(one.candidate, cost), getattr(other.candidate, cost)) for cost in COSTS]
        pairs.append((-one.bound, -other.bound))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    best = [one for one in found if not any(beats(other, one) for other in found)]
    return sorted(best, key=lambda one: one.candidate.bytes)


def left_out(
    candidates: Sequence[Candidate], datasets: Sequence[str], loss: float
) -> dict[str, list[tuple[str, bool]]]:
    """Advice without each data set in turn, and whether what it chose loses at most `loss` points on that one.

    Returns
    -------
    Cost -> (data set, whether it holds); data sets without which nothing passes are left out.
    """
    found: dict[str, list[tuple[str, bool]]] = {cost: [] for cost in COSTS}
    for name in datasets if len(datasets) > 1 else []:
        others = judged(candidates, [other for other in datasets if other != name], FEWER)
        for cost in COSTS:
            if chosen := cheapest(others, cost, loss):
                held = 100 * float(chosen.candidate.differences[name].mean.mean()) >= -loss
                found[cost].append((name, held))
    return found
