"""The claims of LateOn-regularized's model card, one by one, with what this study says of each (plan.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from arms import CONTROL, RUNS, TOP, Arm  # beside this file
from comparisons import CARD, Arrays, Gain, Missing, gain, measured, shown, tested
from measure import DATASETS, TRANSFER_SETS, UNTRAINED

OF_PRIMARY = {
    "PLAID is kept": ("6", "other sets and other trained objectives"),
    "MUVERA alone rises": ("1", "LateOn, more steps and more data"),
    "MUVERA alone rises, on top of the best recipe without training": ("2", "the same"),
    "SMVE alone rises": ("5", "the same; SMVE at its default size"),
}
"""Claim -> its primary comparison, and what that leaves out."""
SHAPES = {
    "stable_rank": ("stable rank", "%", "-26 %"),
    "top_share": ("share of the first direction", "points", "+5.7"),
}
"""Measure of geometry -> its name, the unit of its change, and the change that was reported for the centered space."""
SPACES = ("raw", "centered")
BASES = {CONTROL: "its control", UNTRAINED: "the untrained model"}


def table(arrays: Arrays, primary: pd.DataFrame, shapes: pd.DataFrame) -> pd.DataFrame:
    """A line for each claim: how it was tested, the verdict, the effect with its interval, what was not tested.

    Parameters
    ----------
    primary
        The table of `comparisons.primary`.
    shapes
        The table of `report.shapes`.
    """
    lines = [*_of_primary(primary), *_of_gains(arrays), *_of_geometry(shapes)]
    return pd.DataFrame(lines).astype(object).fillna("").astype(str)


def _of_primary(primary: pd.DataFrame) -> Iterator[dict[str, str]]:
    by_number = primary.set_index("No.")
    for claim, (number, rest) in OF_PRIMARY.items():
        line = by_number.loc[number]
        known = {name: line.get(name, "") for name in ("Verdict", "Points", "95 % interval", "Runs")}
        yield {"Claim": claim, "Test": f"primary, {number}", **known, "Not tested": rest}


def _of_gains(arrays: Arrays) -> Iterator[dict[str, str]]:
    """How far the gains carry over to methods and settings that no arm was trained for."""
    variants = sorted({key.split("/")[3] for key in arrays if "/muvera+" in key})
    for claim, objective, methods, sets in (
        ("It carries over to the other method (MUVERA to SMVE)", "ste_muvera", ["smve"], TRANSFER_SETS),
        ("It carries over to the other method (SMVE to MUVERA)", "ste_smve", ["muvera"], DATASETS),
        ("It carries over to other settings of MUVERA", "ste_muvera", variants, TRANSFER_SETS),
        ("It carries over to 1-bit codes", "ste_muvera", ["binary"], TRANSFER_SETS),
    ):
        for against, base in BASES.items():
            line = {"Claim": claim, "Test": f"exploratory, {len(sets)} sets, over {base}", "Verdict": "no test"}
            line["Not tested"] = "other sets" if sets == TRANSFER_SETS else ""
            try:
                found, runs = measured(partial(_mean_gain, arrays, objective, methods, sets, against))
            except Missing as missing:
                yield {**line, "Verdict": f"not measured ({missing})"}
                continue
            yield {**line, **shown(tested(found), runs)}


def _mean_gain(
    arrays: Arrays, objective: str, methods: list[str], sets: tuple[str, ...], against: str, runs: Sequence[int]
) -> Gain:
    """The gain over the control or the untrained model, mean over some methods.

    Raises
    ------
    Missing
        If one of them was not measured.
    """
    if not methods:
        raise Missing("no method")
    each = [gain(arrays, TOP, "out", objective, CARD, one, sets, runs, against=against) for one in methods]
    return {name: np.mean([found[name] for found in each], axis=0) for name in sets}


def _of_geometry(shapes: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Whether the space gets fewer effective dimensions: changes of the stable rank and of the largest share."""
    for measure, (name, unit, of_card) in SHAPES.items():
        values = shapes.pivot_table(measure, ["Space", "Data set"], "Model") if len(shapes) else pd.DataFrame()
        for space in SPACES:
            claim = f"Fewer dimensions: {name}, {space}" + f" (the card: {of_card})" * (space == "centered")
            for against, base in BASES.items():
                changes = []
                for run in RUNS:
                    arm = Arm(TOP, "out", "ste_muvera", run)
                    other = UNTRAINED if against == UNTRAINED else arm.control.name
                    if {arm.name, other} <= set(values):
                        own = values.loc[space]
                        change = own[arm.name] - own[other]
                        changes.append(100 * float((change / own[other] if unit == "%" else change).mean()))
                line = {"Claim": claim, "Test": f"exploratory, over {base}"}
                if not changes:
                    yield {**line, "Verdict": "not measured"}
                    continue
                spread = f" ± {np.std(changes, ddof=1):.1f}" if len(changes) > 1 else ""
                effect = f"{np.mean(changes):+.1f}{spread} {unit}"
                yield {**line, "Verdict": "no test", "Points": effect, "Runs": str(len(changes))}
