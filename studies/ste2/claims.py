"""The claims of LateOn-regularized's model card, one by one, with what this study says of each (plan.md)."""

from __future__ import annotations

from collections.abc import Iterator

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
SPACES = ("raw", "centered")


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
        try:
            found, runs = measured(lambda runs, of=(objective, methods, sets): _mean_gain(arrays, *of, runs))
        except Missing:
            continue
        line = {"Claim": claim, "Test": f"exploratory, {len(sets)} sets", "Verdict": "no test"}
        yield {**line, **shown(tested(found), runs), "Not tested": "other sets" if sets == TRANSFER_SETS else ""}


def _mean_gain(
    arrays: Arrays, objective: str, methods: list[str], sets: tuple[str, ...], runs: tuple[int, ...]
) -> Gain:
    """The gain over the control, mean over some methods.

    Raises
    ------
    Missing
        If one of them was not measured.
    """
    if not methods:
        raise Missing("no method")
    each = [gain(arrays, TOP, "out", objective, CARD, one, sets, runs) for one in methods]
    return {name: np.mean([found[name] for found in each], axis=0) for name in sets}


def _of_geometry(shapes: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Whether the space gets fewer effective dimensions: the change of the stable rank, in percent."""
    if shapes.empty:
        return
    rank = shapes.pivot_table("stable_rank", ["Space", "Data set"], "Model")
    for space in SPACES:
        for against in (UNTRAINED, CONTROL):
            changes = []
            for run in RUNS:
                arm = Arm(TOP, "out", "ste_muvera", run)
                base = UNTRAINED if against == UNTRAINED else arm.control.name
                if {arm.name, base} <= set(rank):
                    own = rank.loc[space]
                    changes.append(100 * float((own[arm.name] / own[base] - 1).mean()))
            if changes:
                spread = f" ± {np.std(changes, ddof=1):.1f}" if len(changes) > 1 else ""
                effect = f"{np.mean(changes):+.1f}{spread} %"
                line = {"Claim": f"The {space} space has a lower stable rank (the card: -26 %)", "Points": effect}
                yield {
                    **line,
                    "Test": f"exploratory, against {against}",
                    "Verdict": "no test",
                    "Runs": str(len(changes)),
                }
