"""Claims: what was tested, how it came out, and how that is shown."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from harness.evaluation.significance import Comparison

MARGIN = 0.005  # half a point of NDCG@10: a fall that is surely smaller than this is none
LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """A sentence that was tested."""

    claim: str
    compared: str
    verdict: str
    delta: float
    ci_low: float
    ci_high: float
    p: float
    n_queries: int
    seeds: int


def rises(found: Comparison | Claim, p: float) -> str:
    """The verdict on a gain."""
    if found.delta > 0 and p < LEVEL and found.ci_low > 0:
        return "holds"
    return "does not hold" if found.ci_high < MARGIN else "cannot be told here"


def not_worse(found: Comparison, _p: float) -> str:
    """The verdict on what should not fall."""
    if found.ci_low > -MARGIN:
        return "holds"
    return "does not hold" if found.ci_high < -MARGIN else "cannot be told here"


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """The values that a claim has, with five decimals."""
    kept = {field.name: values[field.name] for field in fields(Claim) if field.name in values}
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in kept.items()}


def cell(value: float, delta: float) -> str:
    """Percent points, with a difference in brackets."""
    return f"{100 * value:.2f} ({100 * delta:+.1f})"


def markdown(table: pd.DataFrame) -> str:
    """A table of strings."""
    return str(table.to_markdown(index=False, disable_numparse=True)) + "\n"
