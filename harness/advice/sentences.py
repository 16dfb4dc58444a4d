"""Advice in plain sentences and a small table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.advice.advice import Advice
from harness.advice.candidates import Candidate
from harness.advice.choice import Judged
from harness.methods.registry import is_centered
from harness.tables import formats, titles

_CHEAPEST = {"bytes": "smallest", "milliseconds": "fastest"}
_LESS = {"bytes": "smaller", "milliseconds": "faster"}
EXPLAINED = (
    "Per document: the index, and with reranking (rk above 0) the token vectors as well. Per query: the first stage "
    "and the reranking, whose time is an upper bound. At worst: the bounds hold for all configurations at once with "
    "95 % confidence, over queries and, where there are several, draws, so that choosing among them is allowed. "
    "KB: 1,024 bytes."
)


def sentences(advice: Advice, datasets: Sequence[str]) -> list[str]:
    """What to take, what the best of the cheaper would lose, how often such advice held, and what makes it doubtful."""
    points = "point" if advice.limits.loss == 1 else "points"
    loss, plaid = f"{advice.limits.loss:g} {points} of PLAID", f"PLAID needs {_costs(advice.plaid)}."
    if advice.best is None:
        return [f"No configuration that was measured is within the budget. {plaid}"]
    found = []
    for cost, chosen in advice.cheapest.items():
        found.append(f"The {_CHEAPEST[cost]} within {loss}, with 95 % confidence{_of_one(chosen)}: {_title(chosen)}.")
        if getattr(chosen.candidate, cost) > getattr(advice.plaid, cost):
            found.append(f"PLAID itself is {_LESS[cost]}.")
        if cheaper := advice.cheaper.get(cost):
            found.append(f"Among those that are {_LESS[cost]}, the one that loses least: {_title(cheaper)}.")
        found += _trust(advice.left_out[cost], len(datasets))
    if not found:
        count = len(advice.judged)
        within = " within the budget" if advice.limits.budget else ""
        found.append(f"None of the {count} configurations{within} is within {loss} with 95 % confidence.")
        found.append(f"The nearest: {_title(advice.best)}.")
    elif advice.limits.budget:
        found.append(f"The best within the budget: {_title(advice.best)}.")
    return [*found, plaid, *_doubts(advice)]


def table(advice: Advice) -> pd.DataFrame:
    """The configurations to which no other is better in bytes, time and loss."""
    lines = []
    for one in advice.frontier:
        row = one.candidate.row
        lines.append(
            {
                "First stage": _name(one.candidate),
                "Center": titles.center_label(row.center) if is_centered(row.method) else "",
                "rk": one.candidate.depth,
                "Draws": str(one.candidate.draws or ""),
                "KB / document": f"{one.candidate.bytes / 1024:.1f}",
                "ms / query": f"{one.candidate.milliseconds:.2f}",
                "Difference": formats.signed(one.delta, 2),
                "At worst": formats.signed(one.bound, 2),
                "Passes": "yes" if one.passes(advice.limits.loss) else "no",
            }
        )
    return pd.DataFrame(lines)


def _of_one(one: Judged) -> str:
    """What the confidence is about, if random numbers were drawn only once."""
    return " for the one draw that was measured" if one.candidate.draws == 1 else ""


def _title(one: Judged) -> str:
    row, depth = one.candidate.row, one.candidate.depth
    center = f", center {titles.center_label(row.center)}" if is_centered(row.method) else ""
    reranked = f", {depth} reranked" if int(depth or 0) else ", not reranked" if depth else ""
    points = f"{formats.signed(one.delta, 2)} points, at worst {formats.signed(one.bound, 2)}"
    return f"{_name(one.candidate)}{center}{reranked} ({points}; {_costs(one.candidate)})"


def _name(candidate: Candidate) -> str:
    """The method, and the pooling of the documents."""
    return titles.method_title(candidate.row.method) + candidate.row.model.removeprefix(candidate.model).replace(
        "+", " "
    )


def _costs(candidate: Candidate) -> str:
    return f"{candidate.bytes / 1024:.1f} KB per document, {candidate.milliseconds:.2f} ms per query"


def _trust(found: Sequence[tuple[str, bool]], datasets: int) -> list[str]:
    if datasets == 1:
        return ["It rests on one data set: measure more before you rely on it."]
    if not found:
        return ["If any data set is left out, nothing passes: measure more before you rely on it."]
    failed = [name for name, held in found if not held]
    where = f" (not on {', '.join(failed)})" if failed else ""
    held = f"{len(found) - len(failed)} of {len(found)} sets left out{where}"
    others = datasets - len(found)
    none = f"; if one of the other {others} is left out, nothing passes" if others > 1 else ""
    none = "; if the other one is left out, nothing passes" if others == 1 else none
    return [f"Chosen without one data set, such advice held on {held}{none}."]


def _doubts(advice: Advice) -> list[str]:
    """Configurations with one draw among those that were named, and how many were left out."""
    named = [*advice.cheapest.values(), *advice.cheaper.values(), *filter(None, [advice.best])]
    single = sorted({_name(one.candidate) for one in named if one.candidate.draws == 1})
    found = []
    if single:
        found.append(
            f"{', '.join(single)}: one draw of the random numbers was measured, and the bounds do not have the spread "
            "between draws; method.seeds=5 measures it."
        )
    if advice.unknown:
        rows = "1 row was" if advice.unknown == 1 else f"{advice.unknown} rows were"
        found.append(f"{rows} left out: not measured on every data set, or without costs.")
    return found
