"""What a first stage should subtract from a text's tokens: every variant that was tried, on sets outside all suites.

    python studies/query_side/choose.py [cache_dir=FOLDER]

Adds to results/query_side/chosen.csv what it lacks: for each variant, mean NDCG@10 x 100 over draws, on CISI, CACM,
TIME and ADI, which belong to no suite. studies/query_side/plan.md takes its recipe from there, by the rule `BEST`. Each
variant is a function from the token vectors of both sides to what the first stage sees.

A text's own mean of n tokens is an estimate of the mean that the text is about; the mean of its side is what is known
before. If tokens scatter around their text's mean with variance s2, and the texts' means around their side's with t2,
the best estimate weighs the text's own mean by n / (n + n0) with n0 = s2 / t2 (Efron and Morris, JASA 1975). The
variants with n0 try this against a constant share.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from harness.config import compose
from harness.config.entries import ROOT, entry
from harness.config.options import CenterOptions
from harness.evaluation.ndcg import Evaluator
from harness.measure.testbed import Testbed, testbed_of
from harness.methods import registry
from harness.methods.exact import Exact
from harness.ranking.ranks import drop_self_matches, reorder
from harness.system.files import write_text
from harness.vectors.centering import token_mean
from harness.vectors.store import Block, StoreInMemory, TokenVectors

SETS = ("adi", "time", "cisi", "cacm")
MUVERA_SEEDS, SMVE_SEEDS = (101, 102, 103, 104, 105), (101, 102)
"""The seeds of the draws here. No reported result uses them."""
SMVE = {"width": 16384, "keep": 16}
OF_BOTH = (
    "all - mu_D (the card's)",
    "all, text",
    "real - mu_D",
    "words - mu_D",
    "words, share 0",
    *(f"real, share {a:g}" for a in (0, 0.25, 0.5, 0.75, 1)),
)
"""Variants that SMVE was measured with, too: a draw of its anchors takes as long as twenty of MUVERA."""
DEPTHS = (0, 50, 100)
TABLE = ROOT / "results" / "query_side" / "chosen.csv"
BEST = (
    "the variant with the highest mean of MUVERA's NDCG@10 at rk=0 over the four sets; within 0.3 of it, the simplest"
)
Share = Callable[[np.ndarray], np.ndarray]
"""Lengths of texts in tokens -> the weight of each text's own mean."""


@dataclass(frozen=True)
class Sides:
    """The token vectors of a data set.

    Attributes
    ----------
    queries, real : all tokens, and the real ones
    mean, mean_real : of matched pseudo-queries: the same
    """

    docs: TokenVectors
    queries: TokenVectors
    real: TokenVectors
    mean: TokenVectors
    mean_real: TokenVectors


def constant(share: float) -> Share:
    """The same weight for all texts."""
    return lambda lengths: np.full(len(lengths), share)


def shrinkage(n0: float) -> Share:
    """A text of n tokens weighs n / (n + n0)."""
    return lambda lengths: lengths / (lengths + n0)


def subtracted(store: TokenVectors, mean: np.ndarray, share: Share) -> TokenVectors:
    """Each text's tokens less `share` times their own mean and the rest times `mean`, the slow and obvious way."""
    block = store.rows(0, len(store))
    weights = share(np.maximum(block.lengths, 1))
    tokens = block.tokens.copy()
    for row, (start, end) in enumerate(zip(block.offsets[:-1], block.offsets[1:], strict=True)):
        if end > start:
            own = tokens[start:end].mean(axis=0)
            tokens[start:end] -= weights[row] * own + (1 - weights[row]) * mean
    return StoreInMemory(tokens.astype(np.float32), block.lengths)


def without_special(store: TokenVectors) -> TokenVectors:
    """Without [CLS], the marker [Q] or [D], and [SEP], in texts that have more tokens than these."""
    block = store.rows(0, len(store))
    kept, lengths = [], []
    for start, end in zip(block.offsets[:-1], block.offsets[1:], strict=True):
        rows = block.tokens[start + 2 : end - 1] if end - start > 3 else block.tokens[start:end]
        kept.append(rows)
        lengths.append(len(rows))
    return StoreInMemory(np.concatenate(kept), np.array(lengths))


def unit(store: TokenVectors) -> TokenVectors:
    """Tokens with norm one."""
    block = store.rows(0, len(store))
    norms = np.linalg.norm(block.tokens, axis=1, keepdims=True)
    return StoreInMemory(block.tokens / np.where(norms > 0, norms, 1), block.lengths)


def scatter(store: TokenVectors) -> float:
    """n0 = s2 / t2 of a side, by the one-way analysis of variance (traces of the covariances)."""
    block: Block = store.rows(0, len(store))
    texts = [block.tokens[a:b] for a, b in zip(block.offsets[:-1], block.offsets[1:], strict=True) if b > a]
    lengths = np.array([len(text) for text in texts])
    means = np.array([text.mean(axis=0) for text in texts])
    within = sum(float(((text - mean) ** 2).sum()) for text, mean in zip(texts, means, strict=True))
    s2 = within / (lengths.sum() - len(texts))
    grand = np.average(means, axis=0, weights=lengths)
    between = float((lengths * ((means - grand) ** 2).sum(axis=1)).sum()) / (len(texts) - 1)
    typical = (lengths.sum() - (lengths**2).sum() / lengths.sum()) / (len(texts) - 1)
    return s2 / max(1e-9, (between - s2) / typical)


def variants(sides: Sides) -> Iterator[tuple[str, TokenVectors, TokenVectors]]:
    """(name, documents, queries) as the first stage sees them."""
    mu_d, mu_q, mu_real = token_mean(sides.docs), token_mean(sides.mean), token_mean(sides.mean_real)
    none, whole = constant(0), constant(1)
    docs = {share: subtracted(sides.docs, mu_d, constant(share)) for share in (0, 0.25, 0.5, 0.75, 1)}
    yield "all - mu_D (the card's)", docs[0], subtracted(sides.queries, mu_d, none)
    yield "all - mu_Q of pseudo-queries", docs[0], subtracted(sides.queries, mu_q, none)
    yield "all, text", docs[1], subtracted(sides.queries, mu_q, whole)
    yield "all, share 1/2", docs[0.5], subtracted(sides.queries, mu_q, constant(0.5))
    yield "real - mu_D", docs[0], subtracted(sides.real, mu_d, none)
    for share, own in docs.items():
        yield f"real, share {share:g}", own, subtracted(sides.real, mu_real, constant(share))
    for one in (0.25, 0.75, 1):
        yield f"real, queries 1/2, documents {one:g}", docs[one], subtracted(sides.real, mu_real, constant(0.5))
        yield f"real, queries {one:g}, documents 1/2", docs[0.5], subtracted(sides.real, mu_real, constant(one))
    for n0 in (2, 4, 8, 16, 32, 64, 128):
        rule = shrinkage(n0)
        yield f"real, n/(n+{n0})", subtracted(sides.docs, mu_d, rule), subtracted(sides.real, mu_real, rule)
    for n0 in (4, 8, 16, 32):
        yield f"real, queries n/(n+{n0}), documents 1/2", docs[0.5], subtracted(sides.real, mu_real, shrinkage(n0))
    of_docs, of_queries = shrinkage(scatter(sides.docs)), shrinkage(scatter(sides.mean_real))
    yield (
        "real, n/(n+n0), n0 from each side's variances",
        subtracted(sides.docs, mu_d, of_docs),
        subtracted(sides.real, mu_real, of_queries),
    )
    half = constant(0.5)
    yield "real, share 1/2, unit", unit(docs[0.5]), unit(subtracted(sides.real, mu_real, half))
    bare, bare_mean = without_special(sides.real), token_mean(without_special(sides.mean_real))
    yield "words - mu_D", docs[0], subtracted(bare, mu_d, none)
    for share, own in docs.items():
        yield f"words, share {share:g}", own, subtracted(bare, bare_mean, constant(share))
    for share in (0.5, 1):
        yield f"words, queries {share:g}, documents 0", docs[0], subtracted(bare, bare_mean, constant(share))
    yield "words, queries 0, documents 1/4", docs[0.25], subtracted(bare, bare_mean, none)
    yield "words, queries 1/2, documents 1/4", docs[0.25], subtracted(bare, bare_mean, half)
    yield "words, queries 0, documents 1/2", docs[0.5], subtracted(bare, bare_mean, none)
    yield "words, share 1/4, unit", unit(docs[0.25]), unit(subtracted(bare, bare_mean, constant(0.25)))
    bare_docs = without_special(sides.docs)
    yield (
        "words on both sides, share 1/2",
        subtracted(bare_docs, token_mean(bare_docs), half),
        subtracted(bare, bare_mean, half),
    )


def sides_of(testbed: Testbed) -> Sides:
    """The token vectors of a data set, encoded as `run` encodes them."""
    real = CenterOptions.of({**entry("center", "shrunk"), "query_tokens": "real"})
    every = CenterOptions.of({**entry("center", "shrunk"), "query_tokens": "all"})
    mean = testbed.query_mean(real)
    assert mean is not None
    store = testbed.encode_mean(mean)
    return Sides(
        testbed.docs,
        testbed.seen_queries(every),
        testbed.seen_queries(real),
        store,
        testbed.seen(real, store, mean.texts),
    )


def measured(testbed: Testbed, known: set[tuple[str, str]]) -> Iterator[dict[str, object]]:
    """One line for each (variant, method) on a data set, but for the variants that are known."""
    sides, evaluator, resources = sides_of(testbed), Evaluator(testbed.dataset), testbed.resources
    exact = Exact().search(sides.docs, sides.queries, len(sides.docs), resources).ranking
    maxsim = np.full((len(exact.rows), len(sides.docs) + 1), -np.inf, dtype=np.float32)
    np.put_along_axis(maxsim, exact.rows, exact.scores, axis=1)
    best, _ = drop_self_matches(exact, testbed.self_rows, 10)
    name = testbed.dataset_name
    if (name, "exact MaxSim") not in known:
        yield {"dataset": name, "variant": "exact MaxSim", "rk=0": 100 * float(np.mean(evaluator.ndcg10(best.rows)))}
    for variant, docs, queries in variants(sides):
        if (name, variant) in known:
            continue
        for method, seeds, given in (("muvera", MUVERA_SEEDS, {}), ("smve", SMVE_SEEDS, SMVE)):
            if method == "smve" and variant not in OF_BOTH:
                continue
            values: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
            for seed in seeds:
                search = registry.make({**entry("method", method), **given, "seed": seed})
                found, _ = drop_self_matches(
                    search.search(docs, queries, DEPTHS[-1] + 1, resources).ranking, testbed.self_rows, DEPTHS[-1]
                )
                scores = np.take_along_axis(maxsim, found.rows, axis=1)
                for depth, rows in reorder(found.rows, scores, DEPTHS).items():
                    values[depth].append(100 * float(np.mean(evaluator.ndcg10(rows))))
            line: dict[str, object] = {"dataset": name, "variant": variant, "method": method}
            line |= {f"rk={depth}": fmean(values[depth]) for depth in DEPTHS}
            yield {**line, "sd of draws at rk=0": stdev(values[0])}
        sys.stdout.write(f"{name}: {variant}\n")


def main() -> None:
    """Measure every variant on every set, and write the table."""
    before = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["dataset", "variant"])
    before = before[before["dataset"] != "mean"]
    known = set(before[["dataset", "variant"]].itertuples(index=False, name=None))
    lines: list[dict[str, object]] = []
    for dataset in SETS:
        words = ["model=answerai_colbert_small", f"dataset={dataset}", "progress=false", *sys.argv[1:]]
        config: Any = OmegaConf.to_container(compose.composed(compose.expand(words)), resolve=True)
        lines += measured(testbed_of(config, config["dataset"]), known)
    table = pd.concat([before, pd.DataFrame(lines)], ignore_index=True)
    means = table.groupby(["variant", "method"], sort=False, dropna=False).mean(numeric_only=True).reset_index()
    whole = pd.concat([table, means.assign(dataset="mean")], ignore_index=True)
    write_text(TABLE, whole.to_csv(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
