"""Figures from what was measured: nothing here measures anything, and what is missing is left out.

A figure is a function from plain data to a matplotlib Figure, in the module of its name; `KINDS` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from harness.figures import agreement, buckets, budget, cosines, depth, overlap, spectrum, style
from harness.figures.inputs import Geometry, Inputs
from harness.system.errors import HarnessError, unknown

__all__ = ["KINDS", "Inputs", "check", "draw"]
_RECORDS = "records of MUVERA or SMVE (`python -m harness run`)"
_GEOMETRY = "files in results/geometry (`python -m harness geometry`)"
_VARIANTS = "records of a method with other options (such as `run method=smve method.keep=16`)"


@dataclass(frozen=True)
class Kind:
    """What figures of a kind need, in words, and those figures (file name, figure), with notes on what is left out."""

    needs: str
    figures: Callable[[Inputs, list[str]], Iterator[tuple[str, Figure]]]


def _of_geometry(name: str, make: Callable[[Geometry], Figure], stages: Sequence[str] = ()) -> Kind:
    """One figure for each (data set, model) whose geometry has been measured, with one of some first stages if any."""

    def figures(inputs: Inputs, notes: list[str]) -> Iterator[tuple[str, Figure]]:
        for geometry in inputs.geometries:
            title = f"{name}-{geometry['dataset']}-{geometry['model']}"
            if not stages or geometry["first_stages"].keys() & set(stages):
                yield title, make(geometry)
            else:
                notes.append(f"{title}: nothing to draw, its geometry has no {' or '.join(stages)}.")

    return Kind(_GEOMETRY, figures)


KINDS = {
    "depth": Kind(_RECORDS, depth.figures),
    "spectrum": _of_geometry("spectrum", spectrum.draw),
    "cosines": _of_geometry("cosines", cosines.draw),
    "buckets": _of_geometry("buckets", buckets.draw, ("muvera", "smve")),
    "overlap": _of_geometry("overlap", overlap.draw, ("smve",)),
    "agreement": _of_geometry("agreement", agreement.draw, ("muvera", "smve")),
    "budget": Kind(_VARIANTS, budget.figures),
}


def check(what: str | None) -> None:
    """Refuse a kind of figure that there is not."""
    if what is not None and what not in KINDS:
        raise unknown("figure", what, KINDS)


def draw(inputs: Inputs, what: str | None, folder: Path) -> tuple[list[Path], list[str]]:
    """Draw the figures of one kind (None: of all) into a folder; the files, and one sentence for each thing left out.

    Raises
    ------
    HarnessError
        For an unknown kind, or if there is nothing to draw.
    """
    check(what)
    paths: list[Path] = []
    notes: list[str] = []
    skipped: dict[str, list[str]] = {}
    with style.used():
        for name in [what] if what else KINDS:
            before = len(paths)
            for title, figure in KINDS[name].figures(inputs, notes):
                paths += style.save(figure, folder, title)
            if len(paths) == before:
                skipped.setdefault(KINDS[name].needs, []).append(name)
    reasons = [f"{', '.join(names)}: nothing to draw, needs {needs}." for needs, names in skipped.items()]
    if not paths:
        where = f"{', '.join(inputs.datasets)} in {inputs.results}"
        raise HarnessError(f"nothing to draw of {where}: {' '.join([*notes, *reasons])}")
    return paths, [*notes, *reasons, *_without_geometry(inputs)]


def _without_geometry(inputs: Inputs) -> list[str]:
    """Which (data set, model) has no geometry, where others have."""
    there = {(one["dataset"], one["model"]) for one in inputs.geometries}
    models = {row.model for row in inputs.rows}
    recorded = sorted({(record.dataset, record.model) for record in inputs.records if record.model in models})
    missing = [f"{model} on {dataset}" for dataset, model in recorded if (dataset, model) not in there]
    return [f"no geometry of {', '.join(missing)}, so no figure of it."] if there and missing else []
