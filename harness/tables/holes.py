"""Holes: documents among the first 10 without a judgement, which count as not relevant.

Judgements are of what earlier systems found. A system that finds other documents has more holes, and a lower score,
however good these documents are. So a difference between two systems is doubtful where their shares of holes differ by
more than their scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.config.measures import JUDGED10, NDCG10
from harness.records import Record
from harness.tables.formats import signed
from harness.tables.rows import PLAID, Row
from harness.tables.table import KEY, MEAN, long_form, seen_by
from harness.tables.titles import center_label, method_title, title

LEAST = 1.0
"""Percentage points: smaller differences in holes (one document in ten queries) are not reported."""
_MOST = 6


def doubtful(
    records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> pd.DataFrame:
    """The means whose difference to PLAID in holes is larger than that in NDCG@10, largest excess first.

    Returns
    -------
    The columns `KEY`, ``holes`` and ``ndcg10``: differences to PLAID in percentage points, over the data sets on which
    judged@10 was measured.
    """
    judged = [record for record in records if JUDGED10.name in record.measures]
    sides = [long_form(seen_by(judged, measure), rows, datasets, depths) for measure in (JUDGED10, NDCG10)]
    holes, scores = (side[(side["dataset"] == MEAN) & (side["method"] != PLAID)] for side in sides)
    found = holes[KEY].assign(holes=-holes["delta"], ndcg10=scores["delta"])
    excess = found["holes"].abs() - found["ndcg10"].abs()
    order = excess[(excess > 0) & (found["holes"].abs() >= LEAST)].sort_values(ascending=False, kind="stable").index
    return found.loc[order]


def warning(
    records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> list[str]:
    """A sentence that names the doubtful differences, if there are any and judged@10 was measured."""
    if not any(JUDGED10.name in record.measures for record in records):
        return []
    found = doubtful(records, rows, datasets, depths)
    if found.empty:
        return []
    named = [
        f"{title(model)}, {center_label(center)}, {method_title(method)}{f' rk={depth}' if depth else ''}: "
        f"{signed(holes)} and {signed(ndcg10)}"
        for model, center, method, depth, holes, ndcg10 in found[:_MOST].itertuples(index=False)
    ]
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return [
        "Warning: unjudged documents among the first 10 (holes) may explain these differences to PLAID, as the share "
        "of holes (first number, points) differs by more than NDCG@10 (second number): "
        f"{'; '.join([*named, *more])}."
    ]
