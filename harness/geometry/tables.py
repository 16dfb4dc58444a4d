"""Tables of geometries: one model's measures, or those of two models side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.geometry.file import path_of, read
from harness.geometry.moments import MEASURES
from harness.system.errors import HarnessError
from harness.tables.formats import MISSING
from harness.vectors.centering import constant_kinds

CONE, BITS = 0.5, 5
"""The mean pairwise cosine from which raw vectors count as a narrow cone, and MUVERA's bits of a bucket (SimHash: two
vectors at an angle a differ in each bit with probability a / pi)."""
SETS = ("documents", "queries", "within_document", "within_query")
Options = dict[str, Any]


def measures(found: Options) -> str:
    """The measures of one model on one data set, as Markdown."""
    lines = []
    for part in SETS:
        for space in _spaces(found[part]):
            measured = found[part][space]
            shown = {_words(name): f"{measured[name]:.3f}" for name in MEASURES}
            lines.append({"of": _words(part), "space": space, **shown, "n": measured["n"]})
    return _markdown(lines)


def first_stages(found: Options) -> str:
    """The load of each method's projections, and how well the method follows MaxSim, as Markdown."""
    lines = []
    for method, spaces in found["first_stages"].items():
        for space in _spaces(spaces):
            follows, load = spaces[space]["agreement"], _load(spaces[space])
            recall = {f"recall@{depth}": f"{share:.3f}" for depth, share in follows["recall"].items()}
            lines.append({"method": method, "space": space, **load, "Spearman": f"{follows['spearman']:.3f}", **recall})
    return _markdown(lines)


def _load(stage: Options) -> dict[str, str]:
    """How even the load is: entropy of buckets or Gini coefficient of anchors; "" for a method with neither."""
    load = {}
    for side in ("documents", "queries"):
        if buckets := stage.get("buckets"):
            text = f"{buckets[side]['entropy']:.2f} of {buckets[side]['max_entropy']:.0f} bits"
        elif anchors := stage.get("anchors"):
            text = f"Gini {anchors[side]['gini']:.2f} ({anchors[side]['gini_even']:.2f})"
        else:
            text = ""
        load[f"load of {side}"] = text
    return load


def remarks(found: Options) -> list[str]:
    """What a reader of both tables must know."""
    follows = [space["agreement"] for spaces in found["first_stages"].values() for space in spaces.values()]
    kinds = [kind for kind in constant_kinds().values() if kind.space in found["documents"] and kind.words]
    words = [f"{kind.space}: {kind.words}" for kind in kinds]
    lines = [
        f"{found['model']} on {found['dataset']}. n: token vectors of the corpus; within: documents (queries) with two "
        f"tokens or more, over which the measures are averaged. {'; '.join(words)}.",
        *(f"{note}." for note in found["notes"]),
    ]
    if separation := found.get("separation"):
        lines.append(
            f"Dead axes: {100 * separation['dead_axes']:.0f} % of the coordinates of the documents' raw vectors have "
            "one sign for nearly all tokens. Spread of MaxSim: for each token of a query, a standard deviation of "
            f"{separation['maxsim_spread']:.3f} over {separation['documents']} documents."
        )
    if follows:
        lines.append(
            f"First stages: over {follows[0]['documents']} documents and {follows[0]['queries']} queries; recall@k: "
            "share of the exact top 10 among the first k candidates; load: entropy of the tokens' shares of the "
            "buckets, or Gini coefficient of the numbers of tokens that keep an anchor (in brackets: at random)."
        )
    return lines


def warnings(found: Options) -> list[str]:
    """What to know before a sweep: whether ``center=none`` must collapse."""
    cosine = found["documents"]["raw"]["mean_pairwise_cosine"]
    if cosine < CONE:
        return []
    shared = (1 - math.acos(min(1.0, cosine)) / math.pi) ** BITS
    return [
        f"the documents' raw token vectors have a mean pairwise cosine of {cosine:.2f}, so that two of them share one "
        f"of {2**BITS} buckets in about {100 * shared:.0f} % of the cases (even: {100 / 2**BITS:.0f} %): first stages "
        "collapse with center=none; measure center=corpus,recommended."
    ]


def compare(results: Path, models: Sequence[str], datasets: Sequence[str]) -> str:
    """Two models side by side: means over the data sets on which both were measured, as Markdown.

    Raises
    ------
    HarnessError
        If a model has no geometry, or there is no data set with a geometry of both models.
    """
    measured_on = {model: {path.parent.name for path in results.glob(f"geometry/*/{model}.json")} for model in models}
    measured = sorted({path.stem for path in results.glob("geometry/*/*.json")})
    for model in models:
        if not measured_on[model]:
            known = f"known: {', '.join(measured)}" if measured else f"there is none in {results}"
            raise HarnessError(
                f"there is no geometry of '{model}' ({known}): run `python -m harness geometry model={model}` first."
            )
    left, right = models
    common = sorted(measured_on[left] & measured_on[right] & (set(datasets) or measured_on[left]))
    if not common:
        raise HarnessError(
            f"{left} and {right} have no geometry of a common data set ({', '.join(sorted(measured_on[left]))}; "
            f"{', '.join(sorted(measured_on[right]))}): run `python -m harness geometry` for both on the same data set."
        )
    found = {model: [read(path_of(results, name, model)) for name in common] for model in models}
    lines = []
    compared = [kind.space for kind in constant_kinds().values() if kind.in_card]
    for part in SETS:
        for space in compared:
            for name in MEASURES:
                before, after = (_mean(found[model], part, space, name) for model in models)
                shown = {left: f"{before:.3f}", right: f"{after:.3f}", "change": _change(name, before, after)}
                lines.append({"of": _words(part), "space": space, "measure": _words(name), **shown})
    return _markdown(lines) + f"\n\nMeans over {', '.join(common)}; changes in percent, for cosines as differences.\n"


def _spaces(parts: Mapping[str, Any]) -> list[str]:
    """The spaces that a part of a geometry has, in the order of tables."""
    return [kind.space for kind in constant_kinds().values() if kind.space in parts]


def _mean(found: Sequence[Options], part: str, space: str, name: str) -> float:
    return math.fsum(geometry[part][space][name] for geometry in found) / len(found)


def _change(name: str, before: float, after: float) -> str:
    """The change of a measure in percent, for a cosine as a difference."""
    if name == "mean_pairwise_cosine":
        return f"{after - before:+.3f}"
    return f"{100 * (after / before - 1):+.1f} %" if before else MISSING


def _words(name: str) -> str:
    return name.replace("_", " ")


def _markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    return str(pd.DataFrame(lines).fillna("").to_markdown(index=False, disable_numparse=True))
