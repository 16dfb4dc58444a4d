"""Evaluation: what `harness.evaluate` measured, as tables."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.records import Record
from harness.system.errors import HarnessError
from harness.tables import long_form, row_of
from harness.tables.paired_tests import Pair, Tested, tested

NAME = "python"
"""The name of the model and of the data set in records."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured: `records` as `run` writes them, one for each method."""

    records: list[Record]
    depths: list[int]

    def table(self) -> pd.DataFrame:
        """Mean NDCG@10 x 100: a line for each (method, center), a column for each depth; "final": end to end."""
        long = long_form(self.records, [row_of(record) for record in self.records], [NAME], self.depths)
        of_set = long[long["dataset"] == NAME].replace({"depth": {"": "final"}})
        wide = of_set.pivot(index=["method", "center"], columns="depth", values="ndcg10")
        return wide[[depth for depth in [*map(str, self.depths), "final"] if depth in wide]]

    @property
    def per_query(self) -> pd.DataFrame:
        """NDCG@10 (0 to 1) of each query: a line for each, a column for each (method, depth)."""
        return pd.DataFrame({(r.method, depth): r.query_scores(depth) for r in self.records for depth in r.ndcg10})

    def compare(self, a: str, b: str, depth: int = 0) -> Tested:
        """The paired test of a minus b, two methods by their names in `table`, at a depth, as `table` has it.

        Raises
        ------
        HarnessError
            If one of them, or the depth, was not measured.
        """
        rows = {record.method: row_of(record) for record in self.records}
        pairs = [Pair(rows[a], rows[b], str(depth))] if {a, b} <= rows.keys() else []
        if not (found := tested(pairs, self.records, [NAME])):
            raise HarnessError(
                f"'{a}' or '{b}' was not measured at depth {depth}: expected two of {', '.join(rows)} and one of the "
                f"depths {', '.join(map(str, self.depths))}."
            )
        return found[0]
