"""Comparison of measured with published values, which are in the files results/expected/*.yaml.

Such a file has a source, tolerances and rows:

    source: where the numbers were published
    suite: beir8                       # what a mean is over, unless a row says otherwise
    tolerance: {ok: 0.05, near: 0.3}   # percentage points: OK up to ok, NEAR up to near, FAIL beyond
    depths: [0, 50, 100, 200, 400, 1000]
    rows:
      - {model: lateon, center: "no", method: muvera, plaid: 55.28, ndcg10: [2.89, 9.46, 12.53, 15.87, 20.29, 27.52]}
      - {model: lateon, revision: c5e5c13, center: "no", method: plaid,
         datasets: {scifact: 76.611, cqadupstack: 47.361}, suites: {beir15: 57.22}}

``center`` is a label of the table's column: "no", "yes" or "own", or a variant's. A value, in percentage points, is a
list with one for each depth, or a single one for one depth or a method without depths (plaid, exact). ``ndcg10`` is the
value on ``dataset``, else on ``suite``; ``datasets`` and ``suites`` have several. ``plaid`` is checked as a cell of its
own. ``revision`` is that of the model that the value was published for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from harness.config import suites
from harness.config.suites import Units
from harness.methods.method import TEXTS
from harness.methods.registry import end_to_end, traits
from harness.records import Record, with_groups
from harness.system.errors import HarnessError
from harness.tables.rows import PLAID, Row, row_of
from harness.tables.table import MEAN, long_form
from harness.vectors.centering import KINDS

VERDICTS = ("OK", "NEAR", "FAIL", "MISSING")
KEYS = {"model", "revision", "center", "method", "dataset", "plaid", "ndcg10", "datasets", "suites"}
"""Keys of a row."""


@dataclass(frozen=True)
class Check:
    """One expected cell, and its measured value.

    Attributes
    ----------
    file, source : name of the expected file, and its source
    dataset : the data set, group or suite that the value is a mean over
    members : the data sets that it takes
    revision : of the model that the value was published for; None: unknown
    measured_revision : of the model that was measured; None: the record does not say
    center : a label, as in the table
    expected, measured : NDCG@10 in percentage points; `measured` is NaN if it was not measured
    ok, near : tolerances in percentage points
    """

    file: str
    source: str
    dataset: str
    members: tuple[str, ...]
    model: str
    revision: str | None
    measured_revision: str | None
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
        return f"{self.verdict:8}{cell}: measured {measured}, expected {self.expected:.2f}{self._revisions()}"

    def _revisions(self) -> str:
        """Which revisions differ, as far as both are known."""
        published, measured = self.revision, self.measured_revision
        if not published or not measured or published == measured:
            return ""
        return f" (published for revision {published[:8]}, measured with {measured[:8]})"


def check_file(path: Path, records: Sequence[Record]) -> Iterator[Check]:
    """The check of every cell of an expected file.

    Raises
    ------
    HarnessError
        If the file does not have the form that the module describes.
    """
    try:
        expected: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        source, suite = str(expected["source"]), str(expected["suite"])
        tolerance, depths, rows = expected["tolerance"], [str(depth) for depth in expected["depths"]], expected["rows"]
        ok, near = float(tolerance["ok"]), float(tolerance["near"])
        for row in rows:
            if unknown := row.keys() - KEYS:
                raise ValueError(f"a row has the unknown key {', '.join(sorted(unknown))}")
            model, revision = row["model"], row.get("revision")
            for scope, units, values in _scopes(row, suite):
                members = tuple(suites.flat(units))
                own = with_groups([r for r in records if r.model == model and r.dataset in members], units)
                for (method, center, depth), value in _cells(row, values, depths).items():
                    found = Row(model, _center(center), method)
                    measured = _measured(own, found, depth, list(units))
                    used = _revision([record for record in own if row_of(record) == found])
                    cell = (center, method, depth, value, measured, ok, near)
                    yield Check(path.name, source, scope, members, model, revision, used, *cell)
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise HarnessError(
            f"{path} is not a file of expected values ({type(error).__name__}: {error}): expected source, suite, "
            "tolerance, depths and rows, as the other files in results/expected have them."
        ) from error


def _scopes(row: dict[str, Any], suite: str) -> Iterator[tuple[str, Units, Any]]:
    """What each value of a row is a mean over: its name, its units, and the value."""
    if "ndcg10" in row:
        scope = row.get("dataset")
        yield scope or suite, {scope: suites.members(scope)} if scope else suites.units(suite), row["ndcg10"]
    for name, value in row.get("datasets", {}).items():
        yield name, {name: suites.members(name)}, value
    for name, value in row.get("suites", {}).items():
        yield name, suites.units(name), value


def _cells(row: dict[str, Any], found: Any, depths: Sequence[str]) -> dict[tuple[str, str, str], float]:
    """(method, center, depth) -> expected value."""
    values = found if isinstance(found, list) else [found]
    method, center = row["method"], row["center"]
    if end_to_end(method):
        depths = [""]
    if len(values) != len(depths):
        raise ValueError(f"{len(values)} values for {len(depths)} depths")
    cells = {(method, center, depth): float(value) for depth, value in zip(depths, values, strict=True)}
    if "plaid" in row:
        cells[PLAID, KINDS["none"].label, ""] = float(row["plaid"])
    return cells


def _center(label: str) -> str:
    """The name of a centering, or of a variant of it, from its label."""
    base, *options = label.split("+")
    return "+".join([{kind.label: name for name, kind in KINDS.items()}[base], *options])


def _measured(records: Sequence[Record], row: Row, depth: str, units: Sequence[str]) -> float:
    """The measured value in percentage points; NaN unless it is over exactly the expected data sets."""
    table = long_form(records, [row], units, [int(depth)] if depth else [])
    complete = not table[table["dataset"] != MEAN]["ndcg10"].isna().any()
    return float(table[table["dataset"] == MEAN]["ndcg10"].iloc[0]) if complete else math.nan


def _revision(records: Sequence[Record]) -> str | None:
    """The revision that all records were measured with, from the hub; None: none, several, or not recorded.

    A record does not have the revision of another model that its method reads texts with.
    """
    models = [r.config.get("model", {}) if traits(r.method).reads != TEXTS else {} for r in records]
    found = {None if model.get("path") else model.get("revision") for model in models}
    return found.pop() if len(found) == 1 else None


def summary(checks: Sequence[Check]) -> pd.DataFrame:
    """Number of cells with each verdict, by file."""
    frame = pd.DataFrame([(c.file, c.verdict) for c in checks], columns=["file", "verdict"])
    return (
        frame.groupby("file")["verdict"]
        .value_counts()
        .unstack(fill_value=0)
        .reindex(columns=list(VERDICTS), fill_value=0)
    )
