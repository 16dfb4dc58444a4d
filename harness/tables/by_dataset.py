"""The table of systems that need no first stage, with a column for each data set, as the card's "PLAID retrieval".

Such systems are the methods that rank with MaxSim itself, and those that read texts, without any reranking.
"""

from __future__ import annotations

import pandas as pd

from harness.methods.method import TEXTS
from harness.methods.registry import end_to_end, traits
from harness.tables.formats import MISSING, decimals
from harness.tables.table import MEAN
from harness.tables.titles import method_title, title


def is_for(table: pd.DataFrame) -> bool:
    """Whether a table, in the long form, has no other rows, and one that ranks with MaxSim itself."""
    methods = {str(method): end_to_end(str(method)) for method in table["method"].unique()}
    alone = all(full or traits(method).reads == TEXTS for method, full in methods.items())
    return alone and any(methods.values()) and set(table["depth"]) <= {"", "0"}


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """One line for each (model, method), as strings: NDCG@10 x 100 on each data set, and the mean if all were measured.

    A method that reads texts knows nothing of the model, and stands once for all of them.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for (model, _, method), cells in table.groupby(["model", "center", "method"], sort=False):
        name = title(str(model)) if end_to_end(str(method)) else MISSING
        values = cells.set_index("dataset")["ndcg10"]
        sets, key = values.drop(MEAN), (name, method_title(str(method)))
        shown = {str(column): decimals(float(value), 2) for column, value in sets.items()}
        complete = bool(sets.notna().all())
        if key not in found or complete:
            mean = decimals(float(values[MEAN]), 2) if complete else MISSING
            found[key] = {"Model": key[0], "Method": key[1], **shown, "Mean": mean}
    return pd.DataFrame(list(found.values()))
