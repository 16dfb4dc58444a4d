"""The rule that chooses a learning rate, from what runs measured on sources that they did not train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TOLERANCE = 0.003
"""How much NDCG@10 of exact MaxSim a candidate may lose to the untrained model."""


@dataclass(frozen=True)
class Measured:
    """A candidate, or the untrained model, on the left-out sources: means of NDCG@10 from 0 to 1."""

    exact: float
    first_stage: float


def choose(candidates: Mapping[float, Measured], untrained: Measured) -> float:
    """The one with the best first stage among those that keep exact MaxSim; if none does, the one that loses least.

    Candidates stand in order, from the smallest step on. If two are equal, the first is taken.
    """
    keeping = {name: one for name, one in candidates.items() if one.exact >= untrained.exact - TOLERANCE}
    if keeping:
        return max(keeping, key=lambda name: keeping[name].first_stage)
    return max(candidates, key=lambda name: candidates[name].exact)
