"""Tables of geometries: one model's, or two models side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.geometry.file import path_of, read
from harness.geometry.moments import MEASURES
from harness.system.errors import HarnessError
from harness.tables.titles import MISSING

SETS = ("documents", "queries", "within_document", "within_query")
COMPARED = ("raw", "centered")
SPACES = ("raw", "centered", "own")
Options = dict[str, Any]


def measures(found: Options) -> str:
    """The measures of one model on one data set, as Markdown."""
    lines = []
    for of in SETS:
        for space in SPACES:
            measured = found[of][space]
            shown = {_words(name): f"{measured[name]:.3f}" for name in MEASURES}
            lines.append({"of": _words(of), "space": space, **shown, "n": measured["n"]})
    return _markdown(lines)


def first_stages(found: Options) -> str:
    """What each method's projections see, and how well it follows MaxSim, as Markdown."""
    lines = []
    for method, spaces in found["first_stages"].items():
        for space in [name for name in SPACES if name in spaces]:
            follows, seen = spaces[space]["agreement"], _load(spaces[space])
            recall = {f"recall@{depth}": f"{share:.3f}" for depth, share in follows["recall"].items()}
            lines.append({"method": method, "space": space, **seen, "Spearman": f"{follows['spearman']:.3f}", **recall})
    return _markdown(lines)


def _load(stage: Options) -> dict[str, str]:
    """How even the load is: the entropy of MUVERA's buckets, or the Gini coefficient of SMVE's anchors."""
    shown = {}
    for side in ("documents", "queries"):
        if "buckets" in stage:
            of = stage["buckets"][side]
            shown[f"load of {side}"] = f"{of['entropy']:.2f} of {of['max_entropy']:.0f} bits"
        else:
            of = stage["anchors"][side]
            shown[f"load of {side}"] = f"Gini {of['gini']:.2f} ({of['gini_even']:.2f})"
    return shown


def remarks(found: Options) -> list[str]:
    """What a reader of both tables must know."""
    follows = [space["agreement"] for spaces in found["first_stages"].values() for space in spaces.values()]
    lines = [
        f"{found['model']} on {found['dataset']}. n: token vectors of the corpus; within: documents (queries) with two "
        "tokens or more, over which the measures are averaged. raw: as the model gives them; centered: less the "
        "documents' mean; own: each side less its own mean.",
        *(f"{note}." for note in found["notes"]),
    ]
    if follows:
        lines.append(
            f"First stages: over {follows[0]['documents']} documents and {follows[0]['queries']} queries; recall@k: "
            "share of the exact top 10 among the first k candidates; load: entropy of the tokens' shares of the "
            "buckets, or Gini coefficient of the numbers of tokens that keep an anchor (in brackets: at random)."
        )
    return lines


def compare(results: Path, models: Sequence[str], datasets: Sequence[str]) -> str:
    """Two models side by side, means over the data sets that both have, as Markdown.

    Raises
    ------
    HarnessError
        If a model has no geometry, or there is no data set that both have.
    """
    have = {model: {path.parent.name for path in results.glob(f"geometry/*/{model}.json")} for model in models}
    every = sorted({path.stem for path in results.glob("geometry/*/*.json")})
    for model in models:
        if not have[model]:
            known = f"known: {', '.join(every)}" if every else f"there is none in {results}"
            raise HarnessError(
                f"there is no geometry of '{model}' ({known}): run `python -m harness geometry model={model}` first."
            )
    left, right = models
    common = sorted(have[left] & have[right] & (set(datasets) or have[left]))
    if not common:
        raise HarnessError(
            f"{left} and {right} have no geometry of a common data set ({', '.join(sorted(have[left]))}; "
            f"{', '.join(sorted(have[right]))}): run `python -m harness geometry` for one more."
        )
    found = {model: [read(path_of(results, name, model)) for name in common] for model in models}
    lines = []
    for of in SETS:
        for space in COMPARED:
            for name in MEASURES:
                before, after = (_mean(found[model], of, space, name) for model in models)
                shown = {left: f"{before:.3f}", right: f"{after:.3f}", "change": _change(name, before, after)}
                lines.append({"of": _words(of), "space": space, "measure": _words(name), **shown})
    return _markdown(lines) + f"\n\nMeans over {', '.join(common)}; changes in percent, of cosines as a difference.\n"


def _mean(found: Sequence[Options], of: str, space: str, name: str) -> float:
    return math.fsum(one[of][space][name] for one in found) / len(found)


def _change(name: str, before: float, after: float) -> str:
    if name == "mean_pairwise_cosine":
        return f"{after - before:+.3f}"
    return f"{100 * (after / before - 1):+.1f} %" if before else MISSING


def _words(name: str) -> str:
    return name.replace("_", " ")


def _markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    return str(pd.DataFrame(lines).fillna("").to_markdown(index=False, disable_numparse=True))
