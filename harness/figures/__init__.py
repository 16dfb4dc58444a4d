"""Figures of records and geometries. Nothing here measures anything, and what is missing is left out.

A figure is a function from plain data to a matplotlib Figure, in the module of its name. `KINDS` lists them: a new
figure is a module and an entry there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from harness.figures import agreement, buckets, budget, cosines, depth, overlap, spectrum, style
from harness.figures.inputs import Geometry, Inputs, stages_with
from harness.system.errors import HarnessError, unknown

__all__ = ["KINDS", "Inputs", "check", "draw"]
_RECORDS = "records of a first stage (`python -m harness run`)"
_GEOMETRY = "files in results/geometry (`python -m harness geometry`)"
_VARIANTS = "records of a method with other options (such as `run method=smve method.keep=16`)"


@dataclass(frozen=True)
class Kind:
    """One kind of figure.

    Attributes
    ----------
    needs : what its figures are made from, in words
    caption : what its figures show, for a reader of the report
    figures : the function that yields (file name, figure) for all of them, and appends a note for each that is left out
    """

    needs: str
    caption: str
    figures: Callable[[Inputs, list[str]], Iterator[tuple[str, Figure]]]


def _of_geometry(
    name: str, make: Callable[[Geometry], Figure], caption: str, parts: Sequence[str] = (), lacking: str = ""
) -> Kind:
    """One figure for each (data set, model) whose geometry was measured.

    Parameters
    ----------
    parts
        Keys of a first stage's geometry, one of which the figure needs; empty if it is not about first stages.
    lacking
        The first stages that have such a key, for the note on a geometry without any.
    """

    def figures(inputs: Inputs, notes: list[str]) -> Iterator[tuple[str, Figure]]:
        for geometry in inputs.geometries:
            title = f"{name}-{geometry['dataset']}-{geometry['model']}"
            if not parts or any(stages_with(geometry, part) for part in parts):
                yield title, make(geometry)
            else:
                notes.append(f"{title}: nothing to draw, its geometry has no {lacking}.")

    return Kind(_GEOMETRY, caption, figures)


KINDS = {
    "depth": Kind(
        _RECORDS,
        "Mean NDCG@10 by rerank depth, for each method and centering, with PLAID's line (exact search's where PLAID "
        "was not measured). The numbers are those of the table.",
        depth.figures,
    ),
    "spectrum": _of_geometry(
        "spectrum",
        spectrum.draw,
        "Share of each eigenvalue of the token vectors: the steeper, the fewer directions they fill.",
    ),
    "cosines": _of_geometry(
        "cosines",
        cosines.draw,
        "Pairwise cosines of token vectors: mass far from zero is a narrow cone, where projections see little.",
    ),
    "buckets": _of_geometry(
        "buckets",
        buckets.draw,
        "How evenly tokens fall into MUVERA's buckets and on SMVE's anchors; what is crowded separates nothing.",
        ("buckets", "anchors"),
        "first stage with buckets or anchors (such as muvera or smve)",
    ),
    "overlap": _of_geometry(
        "overlap",
        overlap.draw,
        "How often two tokens share no anchor of SMVE, by their cosine.",
        ("zero_overlap",),
        "first stage with anchors (such as smve)",
    ),
    "agreement": _of_geometry(
        "agreement",
        agreement.draw,
        "How well each first stage follows MaxSim: share of the exact top among its first k.",
        ("agreement",),
        "first stage",
    ),
    "budget": Kind(
        _VARIANTS,
        "Quality by bytes per document and by time per query, with each method's Pareto front.",
        budget.figures,
    ),
}


def check(what: str | None) -> None:
    """Refuse an unknown kind of figure; None stands for all kinds.

    Raises
    ------
    HarnessError
        With the known kinds.
    """
    if what is not None and what not in KINDS:
        raise unknown("figure", what, KINDS)


def draw(inputs: Inputs, what: str | None, folder: Path) -> tuple[list[Path], list[str]]:
    """Draw the figures of one kind (None: of all kinds) into a folder.

    Returns
    -------
    The files, and one sentence for each figure that is left out.

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
        raise HarnessError(f"nothing to draw for {where}: {' '.join([*notes, *reasons])}")
    return paths, [*notes, *reasons, *_without_geometry(inputs)]


def _without_geometry(inputs: Inputs) -> list[str]:
    """A note on the (data set, model) pairs without a geometry; none if there is no geometry at all."""
    known = {(geometry["dataset"], geometry["model"]) for geometry in inputs.geometries}
    models = {row.model for row in inputs.rows}
    recorded = sorted({(record.dataset, record.model) for record in inputs.records if record.model in models})
    missing = [f"{model} on {dataset}" for dataset, model in recorded if (dataset, model) not in known]
    return [f"no geometry of {', '.join(missing)}, so no figure of it."] if known and missing else []
