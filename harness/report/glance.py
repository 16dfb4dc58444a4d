"""The table at a glance: two or three sentences for each model."""

from __future__ import annotations

import pandas as pd

from harness.methods.registry import end_to_end
from harness.tables import KEY, MEAN, Marks, formats, titles

NEAR = 1.0  # percentage points below PLAID that still count as near it


def sentences(table: pd.DataFrame, marks: Marks) -> list[tuple[str, list[str]]]:
    """(model's title, sentences): PLAID, the best method at the least depth, the least depth that comes near PLAID.

    Rows that lack a data set are left out, as their means are over fewer data sets than those of the others.
    """
    sets = table[(table["dataset"] != MEAN) & ~table["method"].map(end_to_end)]
    complete = sets.groupby(KEY, sort=False).filter(lambda cells: cells["delta"].notna().all())
    means = table[table["dataset"] == MEAN].merge(complete[KEY].drop_duplicates(), on=KEY)
    found = []
    for model, lines in means.groupby("model", sort=False):
        lines = lines.assign(rk=lines["depth"].astype(int))
        first = lines[lines["rk"] == lines["rk"].min()]
        near = lines[lines["delta"] >= -NEAR]
        reached = near[near["rk"] == near["rk"].min()]
        summary = [
            f"PLAID {lines['plaid'].iloc[0]:.2f}.",
            f"Best at rk={first['rk'].iloc[0]}: {_best(first, marks)}.",
            f"Within {NEAR:g} point of PLAID at rk={reached['rk'].iloc[0]} already: {_best(reached, marks)}."
            if len(reached)
            else f"No method comes within {NEAR:g} point of PLAID.",
        ]
        found.append((titles.title(str(model)), summary))
    return found


def _best(lines: pd.DataFrame, marks: Marks) -> str:
    best = lines.iloc[int(lines["ndcg10"].argmax())]
    mark = marks.get((best["model"], best["center"], best["method"], best["depth"]), "")
    method = f"{titles.method_title(best['method'])}, center {titles.center_label(best['center'])}"
    return f"{method}, {best['ndcg10']:.2f} ({formats.signed(best['delta'])}{mark})"
