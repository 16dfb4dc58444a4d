"""What figures are made from: records and geometries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.figures.style import NAMES
from harness.records import Record
from harness.tables import Row
from harness.tables.titles import title

SIDES = ("documents", "queries")
Geometry = dict[str, Any]
"""See `harness.geometry.measure`."""
T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """What was measured of what was asked for.

    Attributes
    ----------
    results : folder of the records
    suite : a name for the data sets together
    depths : rerank depths
    rows : lines of the results table: (model, centering, method)
    records : those of the data sets, also of other rows
    geometries : one for each (data set, model) that has been measured
    """

    results: Path
    suite: str
    datasets: Sequence[str]
    depths: Sequence[int]
    rows: Sequence[Row]
    records: Sequence[Record]
    geometries: Sequence[Geometry]


def by_space(parts: Mapping[str, T]) -> list[tuple[str, str, T]]:
    """(space, label, part) of each of raw, centered and own that is there.

    Documents are centered by the same mean in both ways: what is the same twice is one part with both labels.
    """
    same = "own" in parts and parts["own"] == parts.get("centered")
    labels = {**NAMES, "centered": f"{NAMES['centered']} = {NAMES['own']}"} if same else NAMES
    return [(space, labels[space], parts[space]) for space in NAMES if space in parts and not (same and space == "own")]


def heading(geometry: Geometry) -> str:
    """A figure's title: the model and the data set."""
    return f"{title(geometry['model'])}, {geometry['dataset']}"
