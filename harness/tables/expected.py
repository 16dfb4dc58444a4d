"""Comparison of measured with published values, which are in the files results/expected/*.yaml.

Such a file has a source, tolerances and rows:

    source: where the numbers were published
    suite: beir8                       # means are over these data sets; a row may name a single one (dataset: scifact)
    tolerance: {ok: 0.05, near: 0.3}   # percentage points: OK up to ok, NEAR up to near, FAIL beyond
    depths: [0, 50, 100, 200, 400, 1000]
    rows:
      - {model: lateon, center: "no", method: muvera, plaid: 55.28, ndcg10: [2.89, 9.46, 12.53, 15.87, 20.29, 27.52]}

``center`` is a label of the table's column: "no", "yes" or "own". ``ndcg10``, in percentage points, has one value for
each depth (a single value for a method without depths, such as plaid and exact). ``plaid`` is checked as a cell of its
own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from harness.config.entries import entry
from harness.methods.registry import end_to_end
from harness.records import Record
from harness.system.errors import HarnessError
from harness.tables.rows import PLAID, Row
from harness.tables.table import MEAN, long_form
from harness.vectors.centering import KINDS

VERDICTS = ("OK", "NEAR", "FAIL", "MISSING")


@dataclass(frozen=True)
class Check:
    """One expected cell, and its measured value.

    Attributes
    ----------
    file, source : name of the expected file, and its source
    dataset : the data set or suite that the value is a mean over
    center : a label, as in the table
    expected, measured : NDCG@10 in percentage points; `measured` is NaN if it was not measured
    ok, near : tolerances in percentage points
    """

    file: str
    source: str
    dataset: str
    model: str
    center: str
    method: str
    depth: str
    expected: float
    measured: float
    ok: float
    near: float

    @property
    def verdict(self) -> str:
        """OK, NEAR, FAIL or MISSING."""
        if math.isnan(self.measured):
            return "MISSING"
        # Published values have two decimals; a difference of exactly the tolerance is within it.
        difference = abs(self.measured - self.expected) - 1e-9
        return "OK" if difference <= self.ok else "NEAR" if difference <= self.near else "FAIL"

    def __str__(self) -> str:
        cell = f"{self.dataset} {self.model} center={self.center} {self.method}" + (
            f" rk={self.depth}" if self.depth else ""
        )
        measured = "-" if math.isnan(self.measured) else f"{self.measured:.2f}"
        return f"{self.verdict:8}{cell}: measured {measured}, expected {self.expected:.2f}"


def check_file(path: Path, records: Sequence[Record]) -> Iterator[Check]:
    """The check of every cell of an expected file.

    Raises
    ------
    HarnessError
        If the file does not have the form that the module describes.
    """
    try:
        expected: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        suite = entry("suite", expected["suite"])["datasets"]
        source = str(expected["source"])
        tolerance, depths, rows = expected["tolerance"], [str(depth) for depth in expected["depths"]], expected["rows"]
        ok, near = float(tolerance["ok"]), float(tolerance["near"])
        for row in rows:
            if unknown := row.keys() - {"model", "center", "method", "dataset", "plaid", "ndcg10"}:
                raise ValueError(f"a row has the unknown key {', '.join(sorted(unknown))}")
            scope = row.get("dataset")
            datasets = [scope] if scope else suite
            cells = _cells(row, depths)
            for (method, center, depth), value in cells.items():
                measured = _measured(records, row["model"], center, method, depth, datasets, scope)
                name = scope or expected["suite"]
                yield Check(path.name, source, name, row["model"], center, method, depth, value, measured, ok, near)
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise HarnessError(
            f"{path} is not a file of expected values ({type(error).__name__}: {error}): expected source, suite, "
            "tolerance, depths and rows, as the other files in results/expected have them."
        ) from error


def _cells(row: dict[str, Any], depths: Sequence[str]) -> dict[tuple[str, str, str], float]:
    """(method, center, depth) -> expected value."""
    values = row["ndcg10"] if isinstance(row["ndcg10"], list) else [row["ndcg10"]]
    method, center = row["method"], row["center"]
    if end_to_end(method):
        depths = [""]
    if len(values) != len(depths):
        raise ValueError(f"{len(values)} values for {len(depths)} depths")
    cells = {(method, center, depth): float(value) for depth, value in zip(depths, values, strict=True)}
    if "plaid" in row:
        cells[PLAID, KINDS["none"].label, ""] = float(row["plaid"])
    return cells


def _measured(
    records: Sequence[Record],
    model: str,
    center: str,
    method: str,
    depth: str,
    datasets: Sequence[str],
    scope: str | None,
) -> float:
    """The measured value in percentage points; NaN unless it is over exactly the expected data sets."""
    name = {kind.label: name for name, kind in KINDS.items()}[center]
    table = long_form(records, [Row(model, name, method)], datasets, [int(depth)] if depth else [])
    lines = table[table["dataset"] == (scope or MEAN)]
    complete = not table[table["dataset"] != MEAN]["ndcg10"].isna().any()
    return float(lines["ndcg10"].iloc[0]) if complete else math.nan


def summary(checks: Sequence[Check]) -> pd.DataFrame:
    """Number of cells with each verdict, by file."""
    frame = pd.DataFrame([(c.file, c.verdict) for c in checks], columns=["file", "verdict"])
    return (
        frame.groupby("file")["verdict"]
        .value_counts()
        .unstack(fill_value=0)
        .reindex(columns=list(VERDICTS), fill_value=0)
    )
