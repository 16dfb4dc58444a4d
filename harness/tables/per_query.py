"""NDCG@10 of each query: of one record, by query id, and of all rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from harness.methods.registry import end_to_end
from harness.records import FINAL, Record
from harness.system.errors import HarnessError
from harness.tables import Row
from harness.tables.titles import center_label

COLUMNS = ["dataset", "query", "model", "center", "method", "depth", "ndcg10"]


def scores(record: Record, depth: str) -> dict[str, float]:
    """Query id -> NDCG@10, 0 to 1, at a depth that the record has.

    Raises
    ------
    HarnessError
        If there is not one score for each of the record's queries.
    """
    queries, values = record.per_query.get("queries", []), record.per_query.get(depth, [])
    found = dict(zip(queries, values, strict=False))
    if not found or len(found) != len(queries) or len(found) != len(values):
        raise HarnessError(
            f"the record of {record.dataset}, {record.model}, {record.center}, {record.method} has {len(values)} "
            f"scores at depth {depth} for {len(set(queries))} queries, expected one for each: measure the cell again "
            "with overwrite=true."
        )
    return found


def csv(records: Iterable[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]) -> str:
    """One line for each (row, depth, data set, query) that was measured, NDCG@10 from 0 to 1 in full precision."""
    found = {(Row(r.model, r.center, r.method), r.dataset): r for r in records}
    lines: list[list[object]] = []
    for row in rows:
        for depth in [""] if end_to_end(row.method) else list(map(str, depths)):
            for record in [found[row, name] for name in datasets if (row, name) in found]:
                if (depth or FINAL) in record.ndcg10:
                    label = [row.model, center_label(row.center), row.method, depth]
                    values = scores(record, depth or FINAL)
                    lines += [[record.dataset, query, *label, value] for query, value in values.items()]
    return pd.DataFrame(lines, columns=COLUMNS).to_csv(index=False)
