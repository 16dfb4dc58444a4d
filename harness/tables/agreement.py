"""How much of exact MaxSim's ranking the candidates hold: recall of its first 10 and first 100.

At rerank depth k it is the share among the first k candidates, which is the most that reranking k of them can still
find. At rk=0, and for a method without rerank depths, it is the share among the method's own first 10 (first 100).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from harness.config.measures import AGREEMENT
from harness.records import Record
from harness.tables.layouts import Marks
from harness.tables.rows import Row, by_row
from harness.tables.table import KEY, MEAN, long_form, partial_means, seen_by

NAMES = [f"maxsim{measure.cut}" for measure in AGREEMENT]


def columns(
    table: pd.DataFrame, records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> pd.DataFrame:
    """The long form with the columns `NAMES`, in percentage points; NaN where a data set of a line lacks them."""
    place = [*KEY, "dataset"]
    for measure, name in zip(AGREEMENT, NAMES, strict=True):
        seen = long_form(seen_by(records, measure), rows, datasets, depths)
        seen.loc[partial_means(seen), "ndcg10"] = math.nan
        found = seen[[*place, "ndcg10"]].rename(columns={"ndcg10": name})
        table = table.merge(found, how="left", on=place)
    return table


def beside(records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]) -> Marks:
    """What stands in square brackets behind each value that has both shares on all its data sets."""
    found = by_row(records)
    measured = {row: [name for name in datasets if (row, name) in found] for row in rows}
    texts = {}
    for row, sets in measured.items():
        wide = columns(long_form(records, [row], sets, depths), records, [row], sets, depths)
        means = wide[(wide["dataset"] == MEAN) & wide[NAMES].notna().all(axis=1)]
        for model, center, method, depth, *shares in means[[*KEY, *NAMES]].itertuples(index=False):
            texts[model, center, method, depth] = f" [{' / '.join(f'{share:.1f}' for share in shares)}]"
    return texts


def remark(table: pd.DataFrame, texts: Marks) -> str:
    """What the square brackets mean, and what to do where there are none.

    Parameters
    ----------
    table
        The long form of the values that they stand behind.
    """
    means = table[(table["dataset"] == MEAN) & table["ndcg10"].notna()]
    lacking = sum(key not in texts for key in means[KEY].itertuples(index=False, name=None))
    meaning = (
        "In square brackets: recall of exact MaxSim's first 10 / first 100 documents among the first k candidates "
        "(rk=k), x 100; at rk=0, and for methods without rerank depths, among their own first 10 / first 100."
    )
    if not lacking:
        return meaning
    return (
        f"{meaning} {lacking} of {len(means)} values have none, as it was not measured: `run` with agreement=true adds "
        "it to records from what is kept, and searches exactly once for each model and data set."
    )
