"""The inputs of figures: records and geometries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.figures.style import center_name
from harness.records import Record
from harness.tables import Row
from harness.tables.titles import title
from harness.vectors.centering import KINDS

SIDES = ("documents", "queries")
Geometry = dict[str, Any]
"""The content of a geometry's file (`harness.geometry.file`)."""
T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """The records and geometries of the models and data sets that the user asked for.

    Attributes
    ----------
    results : folder of the records
    suite : a name for all data sets together
    datasets : names of the data sets, in the order of tables
    depths : rerank depths
    rows : lines of the results table: (model, centering, method)
    records : all records on the data sets, also those that belong to other rows
    geometries : one for each (data set, model) that has been measured
    """

    results: Path
    suite: str
    datasets: Sequence[str]
    depths: Sequence[int]
    rows: Sequence[Row]
    records: Sequence[Record]
    geometries: Sequence[Geometry]


def by_center(parts: Mapping[str, T]) -> list[tuple[str, str, T]]:
    """(centering, label, part) for each centering that a geometry has, in the order of `KINDS`.

    Two centerings that subtract the same mean from the documents (`corpus` and `own`) have equal parts for the
    documents: these are one line with both labels.

    Parameters
    ----------
    parts
        The space of a centering (`Kind.space`) -> part.
    """
    found: list[tuple[str, str, T]] = []
    for name, kind in KINDS.items():
        if kind.space not in parts:
            continue
        part, label = parts[kind.space], center_name(name)
        for i, (earlier, labels, other) in enumerate(found):
            if KINDS[earlier].documents == kind.documents and other == part:
                found[i] = (earlier, f"{labels} = {label}", other)
                break
        else:
            found.append((name, label, part))
    return found


def heading(geometry: Geometry) -> str:
    """A figure's title: the model and the data set."""
    return f"{title(geometry['model'])}, {geometry['dataset']}"


def stages_with(geometry: Geometry, part: str) -> dict[str, dict[str, Any]]:
    """Method -> space -> the given part, for the first stages that have it; variants of methods are left out."""
    stages = {
        method: {space: stage[part] for space, stage in spaces.items() if part in stage}
        for method, spaces in geometry["first_stages"].items()
        if "+" not in method
    }
    return {method: spaces for method, spaces in stages.items() if spaces}
