"""What might make the gain larger: other recipes, on sources that training did not see and on test collections.

results/ste/remedies.csv has every figure, remedies.npz the per-query scores on the test collections
(``recipe/data set/cell`` -> [queries]). Tests are paired over queries; one training seed each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from claim import Claim, cell, markdown, not_worse, rises, rounded  # beside this file
from settings import RESULTS

from harness import records
from harness.evaluation.significance import Comparison, compare, holm
from harness.system.files import read_arrays, write_arrays, write_text

HELD = ("climate-fever-evidence", "pubmedqa-labeled")
TESTS = ("cranfield", "nfcorpus", "scifact")
CELLS = ("exact", *(f"{method}_{center}" for center in ("none", "corpus", "own") for method in ("muvera", "smve")))
COLUMNS = {"exact": "exact", "muvera_corpus": "MUVERA", "smve_corpus": "SMVE"}
AGAINST = {
    "ste_muvera": ("contrastive", "untrained"),
    "ste_muvera_fast": ("contrastive_fast", "untrained"),
    "ste_muvera_faster": ("contrastive_faster", "untrained"),
    "ste_muvera_long": ("untrained",),
    "ste_muvera_hard": ("contrastive", "untrained", "ste_muvera"),
    "ste_muvera_none": ("contrastive", "untrained", "ste_muvera"),
    "ste_smve": ("contrastive", "untrained"),
    "ste_smve_fast": ("contrastive_fast", "untrained"),
}
"""Recipe -> what it is tested against: the control of the same step, the start, or what it is a change of."""


def collect(folder: Path, validation: dict[str, dict[str, Any]], offsets: dict[tuple[str, str], float]) -> None:
    """Write both files from the records.

    Parameters
    ----------
    validation : recipe -> what its training run measured on its own held-out split, and its options
    offsets : (recipe, data set) -> |mu_Q - mu_D|^2 as a share of the mean of |q - mu_D|^2
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    per_query = {}
    for record in records.read_all(folder):
        name = record.model.split("head=")[1].removesuffix("_s0")
        method, center = record.method.split("+")[0], record.center.split("+")[0]
        where, depth = ("exact", records.FINAL) if method == "exact" else (f"{method}_{center}", "0")
        found.setdefault((name, record.dataset), {})[where] = record.ndcg10[depth]
        if record.dataset in TESTS:
            per_query[f"{name}/{record.dataset}/{where}"] = np.array(record.per_query[depth], dtype=np.float32)
    lines = []
    for name, measured in validation.items():
        for dataset, cells in {"validation": measured, **{d: found[name, d] for d in (*HELD, *TESTS)}}.items():
            line = {"recipe": name, "options": measured["options"], "dataset": dataset}
            lines.append({**line, **{c: cells[c] for c in CELLS}, "offset": offsets.get((name, dataset))})
    write_text(RESULTS / "remedies.csv", pd.DataFrame(lines).to_csv(index=False, float_format="%.4f"))
    write_arrays(RESULTS / "remedies.npz", **per_query)


def table() -> str:
    """Changes against the untrained model: on the training's own sources, on held-out ones and on test collections."""
    found = pd.read_csv(RESULTS / "remedies.csv").set_index(["recipe", "dataset"])
    lines = []
    for recipe in dict.fromkeys(found.index.get_level_values("recipe")):
        line = {"recipe": recipe}
        for words, sets in (("validation", ("validation",)), ("held-out sources", HELD), ("tests", TESTS)):
            for column in COLUMNS:
                values, before = (
                    np.mean([found.loc[(name, dataset), column] for dataset in sets]) for name in (recipe, "untrained")
                )
                shown = f"{100 * values:.2f}" if recipe == "untrained" else f"{100 * (values - before):+.2f}"
                line[f"{words}: {COLUMNS[column]}"] = shown
        line["offset, tests"] = f"{np.mean([found.loc[(recipe, dataset), 'offset'] for dataset in TESTS]):.3f}"
        lines.append(line)
    return markdown(pd.DataFrame(lines))


def sources_table() -> str:
    """The validation split source by source: each a collection of its own, with its own mean."""
    found = pd.read_csv(RESULTS / "sources.csv").set_index(["source", "trained"])
    lines = []
    for source in dict.fromkeys(found.index.get_level_values("source")):
        before = found.loc[(source, "untrained")]
        line = {"source": source, "queries": int(before["queries"]), "documents": int(before["documents"])}
        line["untrained"] = f"{100 * before['muvera_corpus']:.2f}"
        for arm in ("contrastive", "ste_muvera", "ste_smve"):
            value = found.loc[(source, arm), "muvera_corpus"]
            line[arm] = cell(value, value - before["muvera_corpus"])
        lines.append(line)
    return markdown(pd.DataFrame(lines))


def claims() -> list[Claim]:
    """Gains of each recipe at rk=0 over what it is tested against, and what exact MaxSim loses."""
    scores = read_arrays(RESULTS / "remedies.npz")

    def differ(recipe: str, other: str, where: str) -> Comparison:
        return compare({d: scores[f"{recipe}/{d}/{where}"] - scores[f"{other}/{d}/{where}"] for d in TESTS})

    gains = [
        (recipe, other, method, center, differ(recipe, other, f"{method}_{center}"))
        for recipe, others in AGAINST.items()
        for other in others
        for method in ("muvera", "smve")
        for center in ("corpus", "own")
    ]
    corrected = holm([found.p for *_, found in gains])
    tested = [
        _claim(f"remedy {recipe}: rk=0 rises ({method.upper()}, center={center})", recipe, other, found, p, rises)
        for (recipe, other, method, center, found), p in zip(gains, corrected, strict=True)
    ]
    for recipe, others in AGAINST.items():
        for other in others:
            found = differ(recipe, other, "exact")
            tested.append(
                _claim(f"remedy {recipe}: exact MaxSim does not fall", recipe, other, found, found.p, not_worse)
            )
    return tested


def _claim(claim: str, recipe: str, other: str, found: Comparison, p: float, verdict: Any) -> Claim:
    numbers = rounded({"delta": found.delta, "ci_low": found.ci_low, "ci_high": found.ci_high, "p": p})
    return Claim(claim, f"{recipe} - {other}", verdict(found, p), **numbers, n_queries=found.n_queries, seeds=1)
