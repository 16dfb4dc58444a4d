"""Advice for one model: the cheapest first stages that pass, the best within a budget, and how far to trust them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.advice import choice
from harness.advice.candidates import Candidate, candidates
from harness.advice.choice import COSTS, Judged
from harness.records import Record
from harness.tables import costs
from harness.tables.rows import PLAID, Row, row_of, unpooled


@dataclass(frozen=True)
class Limits:
    """What is asked for: points that may be lost to PLAID, bytes per document and milliseconds per query at most."""

    loss: float = 0.5
    bytes: float = math.inf
    milliseconds: float = math.inf

    @property
    def budget(self) -> dict[str, float]:
        """Cost -> what may be spent, for the costs that are limited."""
        return {cost: limit for cost in COSTS if (limit := getattr(self, cost)) < math.inf}

    def hold(self, candidate: Candidate) -> bool:
        """Whether a candidate is within the budget."""
        return candidate.bytes <= self.bytes and candidate.milliseconds <= self.milliseconds


@dataclass(frozen=True)
class Advice:
    """Advice for one model.

    Attributes
    ----------
    plaid : PLAID and its costs
    hosts : the machines of the costs; times of different ones cannot be compared
    unknown : rows that were measured on only some of the data sets, or lack costs: nothing is said of them
    judged : every other candidate within the budget
    cheapest : cost -> the cheapest that passes, for the costs that have one
    cheaper : cost -> of those that cost less than the cheapest, the one that loses least
    best : the one with the highest bound, whether it passes or not; None if nothing is within the budget
    left_out : cost -> (data set, whether the advice that was made without it holds on it)
    """

    model: str
    limits: Limits
    plaid: Candidate
    judged: list[Judged]
    best: Judged | None
    unknown: int = 0
    hosts: list[str] = field(default_factory=list)
    cheapest: dict[str, Judged] = field(default_factory=dict)
    cheaper: dict[str, Judged] = field(default_factory=dict)
    left_out: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: str,
        found: Sequence[Candidate],
        datasets: Sequence[str],
        limits: Limits,
        unknown: int = 0,
        hosts: Sequence[str] = (),
    ) -> Advice:
        """The advice that some candidates of a model give; PLAID is one of them."""
        [plaid] = [one for one in found if one.row == Row(model, "none", PLAID)]
        others = [one for one in found if one is not plaid and limits.hold(one)]
        judged = choice.judged(others, datasets)
        best = max(judged, key=lambda one: one.bound) if judged else None
        advice = cls(model, limits, plaid, judged, best, unknown, list(hosts))
        for cost in COSTS:
            if chosen := choice.cheapest(judged, cost, limits.loss):
                advice.cheapest[cost] = chosen
                if cheaper := choice.best_cheaper(judged, chosen, cost):
                    advice.cheaper[cost] = cheaper
        if advice.cheapest:
            advice.left_out.update(choice.left_out(others, datasets, limits.loss))
        return advice

    @property
    def frontier(self) -> list[Judged]:
        """The candidates to which no other is better in bytes, milliseconds and bound."""
        return choice.frontier(self.judged)

    def as_json(self) -> dict[str, Any]:
        """The advice as JSON has it: names of records, bytes, milliseconds, points."""
        return {
            "model": self.model,
            "loss": self.limits.loss,
            **{f"most_{cost}": limit for cost, limit in self.limits.budget.items()},
            "plaid": {cost: getattr(self.plaid, cost) for cost in COSTS},
            "cheapest": {cost: _described(one) for cost, one in self.cheapest.items()},
            "best_cheaper": {cost: _described(one) for cost, one in self.cheaper.items()},
            "best": _described(self.best) if self.best else None,
            "frontier": [_described(one) for one in self.frontier],
            "left_out": {cost: dict(found) for cost, found in self.left_out.items()},
            "not_measured_everywhere": self.unknown,
            "hosts": self.hosts,
        }


def for_each_model(
    records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int], limits: Limits
) -> list[Advice]:
    """The advice for each model that has PLAID on every data set."""
    found = candidates(records, rows, datasets, depths)
    recorded = {row_of(record) for record in records} & {*rows}
    advice = []
    for model in dict.fromkeys(one.model for one in found if one.row == Row(one.model, "none", PLAID)):
        own = [one for one in found if one.model == model]
        known = {one.row for one in own}
        unknown = {row for row in recorded if unpooled(row.model) == model} - known
        hosts = costs.hosts([record for record in records if row_of(record) in known])
        advice.append(Advice.of(model, own, datasets, limits, len(unknown), hosts))
    return advice


def _described(one: Judged) -> dict[str, Any]:
    row = one.candidate.row
    return {
        "model": row.model,
        "method": row.method,
        "center": row.center,
        "depth": one.candidate.depth,
        "draws": one.candidate.draws,
        **{cost: getattr(one.candidate, cost) for cost in COSTS},
        "difference": one.delta,
        "bound": one.bound,
    }
