"""From records to the report: per_query.npz, transfer.csv and geometry.csv, then tables and claims from these alone.

Means are over queries, then data sets, then training seeds. Tests are paired over queries, whose differences are
averaged over training seeds first (`harness.evaluation.significance`), so that they are about these very heads. Holm's correction
is over four families: gains over queries, transfer (t-test over variants), spectrum (t-test over data sets) and
remedies. That something does *not* fall is judged by its interval; its p is that of no difference, uncorrected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import remedies  # beside this file
from claim import LEVEL, Claim, cell, markdown, not_worse, rises, rounded
from scipy import stats

from harness import records
from harness.evaluation.significance import Comparison, compare, holm
from harness.system.files import read_arrays, write_arrays, write_text

HERE = Path(__file__).resolve().parent
ARMS = ("untrained", "contrastive", "ste_muvera", "ste_smve")
METHODS = {"muvera": "MUVERA", "smve": "SMVE"}
CENTERS = {"none": "no", "corpus": "yes", "own": "own"}
DEPTHS = ("0", "50", "100", "200", "400", "1000")
DEFAULT_SEED = 42
SMVE_MAIN = "width=16384 keep=16"
MEASURES = ("mean_pairwise_cosine", "stable_rank", "participation_ratio", "effective_rank", "top_share")


def collect(cache: Path) -> None:
    """Write the files that the report is made from, from the records and geometries of `study.py measure`."""
    rows: list[dict[str, Any]] = []
    scores: dict[str, Any] = {}
    for record in records.read_all(cache):
        trained, train_seed = _arm(record.model)
        method, *changed = record.method.split("+")
        options = dict(change.split("=") for change in changed)
        seed = 0 if method == "exact" else int(options.pop("seed", DEFAULT_SEED))
        params = _params(method, options)
        row = {"trained": trained, "method": method, "center": record.center.split("+")[0]}
        for depth, value in record.ndcg10.items():
            more = {"train_seed": train_seed, "projection_seed": seed, "params": params}
            rows.append({**row, "depth": depth, "dataset": record.dataset, **more, "ndcg10": round(value, 6)})
        if not params and (method == "exact" or seed == DEFAULT_SEED):
            key = f"{record.dataset}/{trained}/{train_seed}/{row['center']}/{method}"
            values = [record.per_query[depth] for depth in ((records.FINAL,) if method == "exact" else DEPTHS)]
            scores[key] = np.array(values, dtype=np.float32)
    columns = ["trained", "method", "center", "depth", "dataset", "train_seed", "projection_seed", "params", "ndcg10"]
    table = pd.DataFrame(rows)[columns].sort_values(columns[:-1])
    write_text(HERE / "transfer.csv", table.to_csv(index=False))
    write_arrays(HERE / "per_query.npz", **scores)
    found = [json.loads(path.read_text()) for path in sorted((cache / "geometry").glob("*.json"))]
    write_text(HERE / "geometry.csv", pd.DataFrame(_flat(found)).to_csv(index=False, float_format="%.6g"))


def _params(method: str, changed: dict[str, str]) -> str:
    """What differs from the study's own setting of a method, in words; empty: nothing."""
    if method == "smve":
        sizes = f"width={changed.get('width', 65536)} keep={changed.get('keep', 32)}"
        return "" if sizes == SMVE_MAIN else sizes
    return " ".join(f"{name}={value}" for name, value in sorted(changed.items()))


def _arm(model: str) -> tuple[str, int]:
    found = re.search(r"head=(\w+)_s(\d+)$", model)
    if not found:
        raise SystemExit(f"the record of {model} is not of this study: expected a head such as ste_muvera_s0.")
    return found[1], int(found[2])


def _flat(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        for side in ("documents", "queries"):
            for space, measures in one[side].items():
                if isinstance(measures, dict):
                    names = {"dataset": one["dataset"], "trained": one["arm"], "train_seed": one["seed"]}
                    rows.append({**names, "side": side, "space": space, "n": one[side]["n"], **measures})
    return rows


class Scores:
    """Per-query NDCG@10 of the main cells, and the means of all cells."""

    def __init__(self) -> None:
        self.main = read_arrays(HERE / "per_query.npz")
        self.table = pd.read_csv(HERE / "transfer.csv", keep_default_na=False, dtype={"depth": str})
        keys = [key.split("/") for key in self.main]
        self.datasets = sorted({key[0] for key in keys})
        self.seeds = {arm: sorted({int(key[2]) for key in keys if key[1] == arm}) for arm in ARMS}

    def of(
        self, arm: str, center: str, method: str, depth: str, seeds: list[int] | None = None
    ) -> dict[str, np.ndarray]:
        """Data set -> NDCG@10 of each query, mean over training seeds."""
        row = 0 if method == "exact" else DEPTHS.index(depth)
        center = "none" if method == "exact" else center
        seeds = self.seeds[arm] if seeds is None else seeds
        return {
            dataset: np.mean([self.main[f"{dataset}/{arm}/{s}/{center}/{method}"][row] for s in seeds], axis=0)
            for dataset in self.datasets
        }

    def mean(self, *cell: Any) -> float:
        """Mean over queries, then data sets."""
        return float(np.mean([values.mean() for values in self.of(*cell).values()]))


def claims(scores: Scores) -> list[Claim]:
    """Each claim of the study, tested against the control and the untrained start."""
    open_claims: list[tuple[str, str, Comparison, Callable[[Comparison, float], str], int]] = []

    def differ(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> Comparison:
        return compare({dataset: left[dataset] - right[dataset] for dataset in left})

    for method in METHODS:
        arm, other = f"ste_{method}", next(name for name in METHODS if name != method)
        seeds = len(scores.seeds[arm])
        for base in ("contrastive", "untrained"):
            exact = differ(scores.of(arm, "none", "exact", "0"), scores.of(base, "none", "exact", "0"))
            open_claims.append((f"exact MaxSim does not fall ({arm})", f"{arm} - {base}", exact, not_worse, seeds))
            for center in ("corpus", "own"):
                for depth in ("0", "100"):
                    for judge, words in ((method, "the trained method"), (other, "the other method")):
                        found = differ(scores.of(arm, center, judge, depth), scores.of(base, center, judge, depth))
                        claim = f"rk={depth} rises for {words} ({METHODS[judge]}, center={center})"
                        open_claims.append((claim, f"{arm} - {base}", found, rises, seeds))
        for judge in METHODS:
            gain = differ(scores.of(arm, "corpus", judge, "0"), scores.of("contrastive", "corpus", judge, "0"))
            both = {
                dataset: (own - other_own) - (corpus - other_corpus)
                for dataset, own, other_own, corpus, other_corpus in _four(scores, arm, judge)
            }
            claim = f"the gains of training and of center=own add up at rk=0 ({METHODS[judge]})"
            note = f"({arm} - contrastive) at own minus the same at corpus ({100 * gain.delta:.2f} at corpus)"
            open_claims.append((claim, note, compare(both), not_worse, seeds))
    for judge in METHODS:
        for base in ("contrastive", "untrained"):
            found = differ(scores.of(base, "own", judge, "0"), scores.of(f"ste_{judge}", "corpus", judge, "0"))
            claim = (
                f"center=own without regularization does as well as regularization with center=corpus at rk=0 "
                f"({METHODS[judge]})"
            )
            note = f"{base} at own - ste_{judge} at corpus"
            open_claims.append((claim, note, found, not_worse, len(scores.seeds["ste_muvera"])))
    corrected = iter(holm([found.p for _, _, found, verdict, _ in open_claims if verdict is rises]))
    tested = []
    for claim, compared, found, verdict, seeds in open_claims:
        p = next(corrected) if verdict is rises else found.p
        tested.append(Claim(claim, compared, verdict(found, p), **rounded({**asdict(found), "p": p}), seeds=seeds))
    return tested


def _four(scores: Scores, arm: str, judge: str) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    cells = [scores.of(a, center, judge, "0") for center in ("own", "corpus") for a in (arm, "contrastive")]
    return [(dataset, *(cell[dataset] for cell in cells)) for dataset in scores.datasets]  # type: ignore[misc]


def spectrum_claims() -> list[Claim]:
    """Does the space get fewer effective dimensions? Paired over data sets, means over training seeds."""
    table = pd.read_csv(HERE / "geometry.csv")
    found, open_claims = [], []
    table = table[(table["side"] == "documents") & (table["space"].isin(["raw", "covariance"]))]
    means = table.groupby(["trained", "space", "dataset"])[list(MEASURES)].mean()
    for arm in ("ste_muvera", "ste_smve"):
        for base in ("contrastive", "untrained"):
            for space in ("raw", "covariance"):
                for measure in ("stable_rank", "effective_rank"):
                    change = (means.loc[(arm, space)] / means.loc[(base, space)] - 1)[measure].dropna()
                    test = stats.ttest_1samp(change, 0.0)
                    low, high = test.confidence_interval()
                    name = measure.replace("_", " ")
                    claim = f"the documents' {name} falls ({'raw' if space == 'raw' else 'centered'}, share of change)"
                    open_claims.append(
                        (claim, f"{arm} / {base} - 1", float(change.mean()), low, high, test.pvalue, arm)
                    )
    corrected = holm([one[5] for one in open_claims])
    seeds = table.groupby("trained")["train_seed"].nunique()
    for (claim, compared, delta, low, high, _, arm), p in zip(open_claims, corrected, strict=True):
        fell = (
            "holds"
            if delta < 0 and p < LEVEL
            else "does not hold"
            if delta > 0 and p < LEVEL
            else "cannot be told here"
        )
        numbers = rounded({"delta": delta, "ci_low": float(low), "ci_high": float(high), "p": p})
        found.append(Claim(claim, compared, fell, **numbers, n_queries=0, seeds=int(seeds[arm])))
    return found


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
    everywhere = table[table["dataset"].isin(_transfer_sets(scores))]
    mean = everywhere.groupby(["method", key, "trained"])["ndcg10"].mean().unstack("trained")[list(ARMS)]
    mean = mean[counts.loc[mean.index] > 1]
    lines = []
    for (method, value), row in mean.iterrows():  # type: ignore[misc]
        cells = {arm: cell(row[arm], row[arm] - row["contrastive"]) for arm in ARMS}
        lines.append({"Method": METHODS[method], key.replace("_", " "): value if value != "" else "default", **cells})
    return markdown(pd.DataFrame(lines))


def _transfer_sets(scores: Scores) -> list[str]:
    """The data sets that every variant was measured on."""
    table = scores.table
    return sorted(table[table["params"] != ""]["dataset"].unique())


def transfer_claims(scores: Scores) -> list[Claim]:
    """Do the gains over the control transfer to other seeds and hyperparameters? Paired over variants."""
    found, table = [], scores.table
    table = table[(table["depth"] == "0") & (table["train_seed"] == 0) & table["dataset"].isin(_transfer_sets(scores))]
    seeds = table[(table["params"] == "") & (table["projection_seed"] != DEFAULT_SEED)]
    params = table[table["params"] != ""]
    for what, some in (("projection seeds", seeds), ("hyperparameters", params)):
        for method in METHODS:
            for center in ("corpus", "own"):
                part = some[(some["method"] == method) & (some["center"] == center)]
                wide = part.pivot_table(
                    index=["projection_seed", "params", "dataset"], columns="trained", values="ndcg10"
                )
                change = wide[f"ste_{method}"] - wide["contrastive"]
                by_variant = change.groupby(level=[0, 1]).mean()
                test = stats.ttest_1samp(by_variant, 0.0)
                low, high = test.confidence_interval()
                claim = f"the gain at rk=0 transfers to other {what} ({METHODS[method]}, center={center})"
                numbers = {"delta": float(change.mean()), "ci_low": float(low), "ci_high": float(high)}
                numbers["p"] = float(test.pvalue)
                note = f"ste_{method} - contrastive, {len(by_variant)} variants, training seed 0"
                found.append(Claim(claim, note, "", **rounded(numbers), n_queries=_queries(scores), seeds=1))
    corrected = holm([one.p for one in found])
    return [replace(one, p=round(p, 5), verdict=rises(one, p)) for one, p in zip(found, corrected, strict=True)]


def _queries(scores: Scores) -> int:
    return sum(scores.main[f"{dataset}/untrained/0/none/exact"].shape[1] for dataset in _transfer_sets(scores))


def geometry_table() -> str:
    """Documents' and queries' measures, mean over data sets and training seeds."""
    table = pd.read_csv(HERE / "geometry.csv")
    mean = table.groupby(["side", "space", "trained"])[list(MEASURES)].mean()
    lines = []
    for side in ("documents", "queries"):
        for space in ("raw", "covariance", "corpus", "own"):
            for arm in ARMS:
                row = mean.loc[(side, space, arm)]
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
    scores = Scores()
    tested = [*claims(scores), *transfer_claims(scores), *spectrum_claims(), *remedies.claims()]
    text = json.dumps([asdict(one) for one in tested], indent=1)
    write_text(HERE / "claims.json", text + "\n")
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
    }
    path = HERE / "README.md"
    readme = path.read_text()
    for name, table in tables.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        readme = re.sub(pattern, lambda found, table=table: f"{found[1]}\n{table}\n{found[2]}", readme, flags=re.S)
    write_text(path, readme)
    return 0
