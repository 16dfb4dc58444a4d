"""The claims of the study, each with its test.

Tests are paired over queries, whose differences are averaged over training seeds first
(`harness.evaluation.significance`), so that they are about these very heads. Holm's correction is over four families:
gains over queries, transfer (t-test over variants), spectrum (t-test over data sets) and remedies. That something does
*not* fall is judged by its interval; its p is that of no difference, uncorrected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from claim import LEVEL, Claim, not_worse, rises, rounded  # beside this file
from scipy import stats
from scores import DEFAULT_SEED, MEASURES, METHODS, Scores, transfer_sets
from settings import RESULTS

from harness.evaluation.significance import Comparison, compare, holm


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
    table = pd.read_csv(RESULTS / "geometry.csv")
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


def transfer_claims(scores: Scores) -> list[Claim]:
    """Do the gains over the control transfer to other seeds and hyperparameters? Paired over variants."""
    found, table = [], scores.table
    table = table[(table["depth"] == "0") & (table["train_seed"] == 0) & table["dataset"].isin(transfer_sets(scores))]
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
    return sum(scores.main[f"{dataset}/untrained/0/none/exact"].shape[1] for dataset in transfer_sets(scores))
