"""The table at a glance: a few sentences for each model."""

from __future__ import annotations

import pandas as pd

from harness.config import recommended
from harness.methods.registry import end_to_end
from harness.tables import KEY, MEAN, Marks, formats, titles

CARD = "corpus"  # the centering of the card's recipe
NEAR = 1.0  # percentage points below PLAID that still count as near it


def sentences(table: pd.DataFrame, marks: Marks) -> list[tuple[str, list[str]]]:
    """(model's title, sentences): PLAID; the card's recipe and the best one without training; what comes near PLAID.

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
            *_recipes(first, marks),
            f"Best at rk={first['rk'].iloc[0]}: {_best(first, marks)}.",
            f"Within {NEAR:g} point of PLAID at rk={reached['rk'].iloc[0]} already: {_best(reached, marks)}."
            if len(reached)
            else f"No method comes within {NEAR:g} point of PLAID.",
        ]
        found.append((titles.title(str(model)), summary))
    return found


def _recipes(first: pd.DataFrame, marks: Marks) -> list[str]:
    """For each method that was measured with both: the card's recipe beside the best one without training."""
    found = []
    for method, lines in first.groupby("method", sort=False):
        by_center = {line["center"]: line for _, line in lines.iterrows()}
        names = {"the card's recipe": CARD, "the best without training": recommended.name(str(method))}
        if len(names) == len({*names.values()} & by_center.keys()):
            values = [
                f"{_value(by_center[center], marks)} with {recipe} (center {titles.center_label(center)})"
                for recipe, center in names.items()
            ]
            found.append(f"{titles.method_title(str(method))} at rk={lines['rk'].iloc[0]}: {', '.join(values)}.")
    return found


def _best(lines: pd.DataFrame, marks: Marks) -> str:
    best = lines.iloc[int(lines["ndcg10"].argmax())]
    method = f"{titles.method_title(best['method'])}, center {titles.center_label(best['center'])}"
    return f"{method}, {_value(best, marks)}"


def _value(line: pd.Series, marks: Marks) -> str:
    """NDCG@10 x 100, its standard deviation over draws if there are several, and its difference to PLAID."""
    mark = marks.get((line["model"], line["center"], line["method"], line["depth"]), "")
    return formats.score(line["ndcg10"], line["sd"], line["delta"], mark)
