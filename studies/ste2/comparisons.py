"""The comparisons of the study, on whatever has been measured (plan.md numbers the primary ones).

A comparison is of gains: the trained arm's NDCG@10 less its control's, or less the untrained model's, for each query
in each training run, means over the draws of the evaluation. Tests are over queries and training runs
(`harness.evaluation.significance`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from arms import CONTROL, RUNS, TOP, TRAINED, Arm  # beside this file
from measure import DATASETS, IN_DOMAIN, PLAID_SETS, RECIPES, SMALL_SETS, TRANSFER_SETS, UNTRAINED
from shared import not_worse, rises

from harness.evaluation.significance import Comparison, compare, deviations, holm
from harness.tables import formats

CARD, BEST = RECIPES
Arrays = Mapping[str, np.ndarray]
Gain = dict[str, np.ndarray]
"""Data set -> difference of NDCG@10, [runs, queries]."""
Make = Callable[[Sequence[int]], Gain]
"""Makes a gain over some training runs."""


class Missing(Exception):
    """Not all that a comparison needs has been measured."""


@dataclass(frozen=True)
class Question:
    """A comparison, before it is tested.

    Attributes
    ----------
    verdict : how the test decides
    gain : runs -> what is compared with 0; raises `Missing`
    """

    number: str
    text: str
    verdict: Callable[[Comparison, float], str]
    gain: Make


def questions(arrays: Arrays) -> list[Question]:
    """The primary comparisons, in the order of plan.md."""
    muvera = partial(gain, arrays, TOP, "out", "ste_muvera")
    layers, head = (
        partial(gain, arrays, capacity, "out", "ste_muvera", CARD, "muvera", SMALL_SETS) for capacity in (TOP, "head")
    )
    inside, outside = (
        partial(gain, arrays, TOP, domain, "ste_muvera", CARD, "muvera", IN_DOMAIN) for domain in ("in", "out")
    )
    smve = partial(gain, arrays, TOP, "out", "ste_smve", CARD, "smve", DATASETS)
    plaid = partial(muvera, "none", "plaid", PLAID_SETS, against=UNTRAINED)

    def less(left: Make, right: Make) -> Make:
        def differences(runs: Sequence[int]) -> Gain:
            a, b = left(runs), right(runs)
            return {name: a[name] - b[name] for name in a}

        return differences

    card = partial(muvera, CARD, "muvera", DATASETS)
    return [
        Question("1", "MUVERA gains, card's recipe", rises, card),
        Question("2", "MUVERA gains, center=recommended", rises, partial(muvera, BEST, "muvera", DATASETS)),
        Question("3", "twelve layers gain more than the head alone", rises, less(layers, head)),
        Question("4", "pairs of the collection add to the gain", rises, less(inside, outside)),
        Question("5", "SMVE gains, card's recipe", rises, smve),
        Question("6", "PLAID does not fall", not_worse, plaid),
    ]


def gain(
    arrays: Arrays,
    capacity: str,
    domain: str,
    objective: str,
    recipe: str,
    method: str,
    sets: Sequence[str],
    runs: Sequence[int],
    depth: int = 0,
    against: str = CONTROL,
) -> Gain:
    """Trained arms less their controls, or less the untrained model.

    Raises
    ------
    Missing
        If a cell of one of the runs was not measured, or there is no data set.
    """
    if not sets:
        raise Missing("no data set")
    found = {}
    for dataset in sets:
        pairs = []
        for run in runs:
            arm = Arm(capacity, domain, objective, run)
            names = (arm.name, UNTRAINED if against == UNTRAINED else arm.control.name)
            keys = [f"{dataset}/{name}/{recipe}/{method}/{depth}" for name in names]
            if missing := [key for key in keys if key not in arrays]:
                raise Missing(missing[0])
            trained, control = (arrays[key].astype(np.float64) for key in keys)
            pairs.append(trained - control)
        found[dataset] = np.stack(pairs)
    return found


def measured(make: Make) -> tuple[Gain, int]:
    """A gain over the training runs that were measured; how many these are.

    Raises
    ------
    Missing
        If none was: what the first one lacks.
    """
    runs = [run for run in RUNS if _has(make, run)]
    return make(runs or RUNS[:1]), len(runs)


def _has(make: Make, run: int) -> bool:
    """Whether all that a gain needs was measured in a training run."""
    try:
        make([run])
    except Missing:
        return False
    return True


def tested(found: Gain) -> Comparison:
    """Whether a gain differs from 0, over queries and training runs; one run stands for itself alone."""
    draws = {name: (tuple(range(len(values))), values) for name, values in found.items()}
    return compare({name: values.mean(axis=0) for name, values in found.items()}, moved_by=deviations(draws))


def primary(arrays: Arrays) -> pd.DataFrame:
    """A line for each primary comparison; p values are Holm's over all gains of the plan.

    A gain that is not measured counts with p=1. With fewer runs than the plan has, there is no verdict.
    """
    lines, results, asked = [], [], questions(arrays)
    for question in asked:
        line = {"No.": question.number, "Question": question.text}
        try:
            found, runs = measured(question.gain)
        except Missing as missing:
            lines.append({**line, "Verdict": f"not measured ({missing})"})
            continue
        results.append((line, question, tested(found), runs))
    family = {question.number: 1.0 for question in asked if question.verdict is rises}
    family |= {question.number: test.p for _, question, test, _ in results if question.number in family}
    corrected = dict(zip(family, holm([*family.values()]), strict=True))
    for line, question, test, runs in results:
        p = corrected.get(question.number, test.p)
        verdict = question.verdict(test, p) if runs == len(RUNS) else f"open: {runs} of {len(RUNS)} runs"
        lines.append({**line, **shown(test, runs), "p": formats.decimals(p, 4), "Verdict": verdict})
    return pd.DataFrame(lines).sort_values("No.", ignore_index=True).astype(object).fillna("").astype(str)


def exploratory(arrays: Arrays) -> pd.DataFrame:
    """Gains of every arm over its control and the untrained model, in every cell that was measured; uncorrected."""
    lines = []
    for (capacity, domain), objectives in TRAINED.items():
        for objective in objectives:
            for against in (UNTRAINED,) if objective == CONTROL else (CONTROL, UNTRAINED):
                for method, recipe, depth, wanted in _cells(arrays):
                    base = (capacity, domain, objective, recipe, method)
                    sets = wanted or _measured_on(arrays, *base, depth, against)
                    try:
                        found, runs = measured(partial(gain, arrays, *base, sets, depth=depth, against=against))
                    except Missing:
                        continue
                    names = {"Capacity": capacity, "Domain": domain, "Trained": objective, "Against": against}
                    where = {"Measured": method, "Center": recipe, "rk": depth, "Sets": len(sets), "On": named(sets)}
                    lines.append({**names, **where, **shown(tested(found), runs)})
    return pd.DataFrame(lines)


def _cells(arrays: Arrays) -> Iterator[tuple[str, str, int, Sequence[str]]]:
    """Method, recipe, depth and data sets of each kind of cell that was measured; no sets: all that were measured."""
    kinds = sorted({tuple(key.split("/")[2:]) for key in arrays})
    for recipe, method, depth in kinds:
        few = PLAID_SETS if method == "plaid" else TRANSFER_SETS
        for sets in (DATASETS, SMALL_SETS, IN_DOMAIN, few, ()):
            yield method, recipe, int(depth), sets


def _measured_on(
    arrays: Arrays, capacity: str, domain: str, objective: str, recipe: str, method: str, depth: int, against: str
) -> Sequence[str]:
    """Where all runs that were begun, and their peers, were measured, if these sets are no group of the plan."""
    make = partial(gain, arrays, capacity, domain, objective, recipe, method, depth=depth, against=against)
    on = [{one for one in DATASETS if _has(partial(make, (one,)), run)} for run in RUNS]
    begun = [sets for sets in on if sets]
    found = tuple(one for one in DATASETS if begun and all(one in sets for sets in begun))
    return () if {*found} in map(set, (DATASETS, SMALL_SETS, IN_DOMAIN, PLAID_SETS, TRANSFER_SETS)) else found


def named(sets: Sequence[str]) -> str:
    """Which data sets these are, in the fewest words."""
    rest = [name for name in DATASETS if name not in sets]
    return "all" if not rest else f"all but {' and '.join(rest)}" if len(rest) < 3 else " ".join(sets)


def shown(found: Comparison, runs: int) -> dict[str, str]:
    """A comparison in points of NDCG@10 x 100."""
    low, high = (formats.signed(100 * value, 2) for value in (found.ci_low, found.ci_high))
    return {"Points": formats.signed(100 * found.delta, 2), "95 % interval": f"{low} to {high}", "Runs": str(runs)}
