"""From records to the report: per_query.npz, transfer.csv and geometry.csv, then tables and claims from these alone.

Means are over queries, then data sets, then training seeds. `tested.py` says how claims are tested.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import recipe  # beside this file, as is remedies
import remedies
from claim import Claim, cell, markdown
from collect import collect
from scores import ARMS, CENTERS, DEFAULT_SEED, DEPTHS, MEASURES, METHODS, Scores, transfer_sets
from settings import RESULTS
from tested import claims, spectrum_claims, transfer_claims

from harness.system.files import write_text

sys.path.append(str(Path(__file__).resolve().parents[1]))

from pages import splice  # noqa: E402


def main_table(scores: Scores) -> str:
    """The card's table for the arms: exact MaxSim in PLAID's place."""
    lines = []
    for arm in ARMS:
        exact = scores.mean(arm, "none", "exact", "0")
        for center, shown in CENTERS.items():
            for method, title in METHODS.items():
                values = [scores.mean(arm, center, method, depth) for depth in DEPTHS]
                cells = {f"rk={d}": cell(value, value - exact) for d, value in zip(DEPTHS, values, strict=True)}
                lines.append({"Model": arm, "Center": shown, "Exact": f"{100 * exact:.2f}", "Method": title, **cells})
    return markdown(pd.DataFrame(lines))


def seed_table(scores: Scores) -> str:
    """rk=0 of each training seed: how far seeds differ."""
    lines = []
    for arm in ARMS[1:]:
        for center in ("corpus", "own"):
            for method, title in METHODS.items():
                values = [scores.mean(arm, center, method, "0", [seed]) for seed in scores.seeds[arm]]
                spread = {f"seed {seed}": f"{100 * v:.2f}" for seed, v in zip(scores.seeds[arm], values, strict=True)}
                lines.append({"Model": arm, "Center": CENTERS[center], "Method": title, **spread})
    return markdown(pd.DataFrame(lines))


def transfer_matrix(scores: Scores, center: str) -> str:
    """Trained through x evaluated with, rk=0; in brackets against the control."""
    lines = []
    for arm in ARMS:
        line = {"trained": arm}
        for method, title in METHODS.items():
            value = scores.mean(arm, center, method, "0")
            line[title] = cell(value, value - scores.mean("contrastive", center, method, "0"))
        lines.append(line)
    return markdown(pd.DataFrame(lines))


def other_codes(scores: Scores, what: str, center: str) -> str:
    """rk=0 with other projection seeds, or other hyperparameters, of the models of training seed 0."""
    table = scores.table
    table = table[(table["depth"] == "0") & (table["train_seed"] == 0) & (table["center"] == center)]
    if what == "seeds":
        table = table[(table["params"] == "") & (table["method"] != "exact")]
        key = "projection_seed"
    else:
        table = table[(table["projection_seed"] == DEFAULT_SEED) & (table["method"] != "exact")]
        key = "params"
    counts = table.groupby(["method", key])["dataset"].nunique()
    everywhere = table[table["dataset"].isin(transfer_sets(scores))]
    mean = everywhere.groupby(["method", key, "trained"])["ndcg10"].mean().unstack("trained")[list(ARMS)]
    mean = mean[counts.loc[mean.index] > 1]
    lines = []
    for (method, value), row in mean.iterrows():  # type: ignore[misc]
        cells = {arm: cell(row[arm], row[arm] - row["contrastive"]) for arm in ARMS}
        lines.append({"Method": METHODS[method], key.replace("_", " "): value if value != "" else "default", **cells})
    return markdown(pd.DataFrame(lines))


def geometry_table() -> str:
    """Documents' and queries' measures, mean over data sets and training seeds."""
    table = pd.read_csv(RESULTS / "geometry.csv")
    mean = table.groupby(["side", "space", "trained"])[list(MEASURES)].mean()
    lines = []
    for side in ("documents", "queries"):
        for space in ("raw", "covariance", "corpus", "own"):
            for arm in ARMS:
                row = mean.xs((side, space, arm))
                shown = {m.replace("_", " "): "" if np.isnan(row[m]) else f"{row[m]:.3f}" for m in MEASURES}
                lines.append({"of": side, "space": space, "model": arm, **shown})
    return markdown(pd.DataFrame(lines))


def claims_table(found: list[Claim]) -> str:
    """All claims with their verdicts."""
    lines = [
        {
            "Claim": one.claim,
            "Compared": one.compared,
            "Verdict": one.verdict,
            "Delta": f"{100 * one.delta:+.2f}",
            "95 %": f"{100 * one.ci_low:+.2f} .. {100 * one.ci_high:+.2f}",
            "p (Holm)": f"{one.p:.4f}",
        }
        for one in found
    ]
    return markdown(pd.DataFrame(lines))


def write(cache: Path) -> int:
    """Write everything; without records, from the committed files."""
    if (cache / "records").is_dir():
        collect(cache)
    if recipe.folder().is_dir():
        recipe.collect()
    scores = Scores()
    tested = [*claims(scores), *transfer_claims(scores), *spectrum_claims(), *remedies.claims()]
    text = json.dumps([asdict(one) for one in tested], indent=1)
    write_text(RESULTS / "claims.json", text + "\n")
    tables = {
        "main": main_table(scores),
        "train-seeds": seed_table(scores),
        "matrix-corpus": transfer_matrix(scores, "corpus"),
        "matrix-own": transfer_matrix(scores, "own"),
        **{
            f"{what}-{center}": other_codes(scores, what, center)
            for what in ("seeds", "params")
            for center in ("corpus", "own")
        },
        "geometry": geometry_table(),
        "remedies": remedies.table(),
        "sources": remedies.sources_table(),
        "claims": claims_table(tested),
        "recipe": markdown(recipe.table()),
        "recipe-tests": markdown(recipe.tests()),
    }
    for name, table in tables.items():
        splice(RESULTS / "README.md", name, table)
    return 0
