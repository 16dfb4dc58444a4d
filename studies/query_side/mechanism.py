"""Why the recipe helps MUVERA: is it the buckets of a query's tokens, or what is added into them?

    python studies/query_side/mechanism.py [option=value ...]

Each token of a query is used twice: it chooses a bucket of each repetition, and it is added into that bucket. Here the
two are shifted apart: by mu_D, as in the card's recipe, or by what another recipe subtracts. Mu_D is always
subtracted from documents. As MUVERA's score is linear in what is added, the card's score is the sum of two parts,

    sum_i S (q_i - mu_D) . D[bucket_i] = sum_i S (q_i - s_i) . D[bucket_i] + sum_i S (s_i - mu_D) . D[bucket_i],

where s_i is what the other recipe subtracts. If the second part, the *offset*, gives all queries nearly the same order
of the documents, it says nothing about a query, and taking it away can only help. So the correlation of two queries'
scores over the documents is measured for both parts, and the offset's share of the sum of their variances over
documents.

Exploratory: this was looked at after the study's primary figures. Writes results/query_side/mechanism.csv and
results/figures/mechanism-offline8.svg and .png.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import torch
from arms import MUVERA_DRAWS, PSEUDO, center_of  # beside this file
from jaxtyping import Float
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from harness.config import compose
from harness.config.entries import ROOT, entry
from harness.figures import style
from harness.measure.testbed import Testbed, testbed_of
from harness.methods import registry
from harness.methods.muvera import FixedDimensionalEncoding
from harness.ranking.ranks import drop_self_matches
from harness.ranking.topk import RunningTopK
from harness.system.files import write_text
from harness.vectors import centering
from harness.vectors.store import Block

TABLE = ROOT / "results" / "query_side" / "mechanism.csv"
SEEDS = tuple(range(42, 42 + MUVERA_DRAWS))
RECIPES = {
    "all tokens, mu_Q": ["center=own", *PSEUDO],
    "words, half own mean": ["center=shrunk"],
}
"""What a query's tokens are less in place of mu_D -> the words of its centering."""
PLACES = (("mu_D", "mu_D"), ("recipe", "mu_D"), ("mu_D", "recipe"), ("recipe", "recipe"))
"""(what a token is less when it chooses its bucket, when it is added): the card's first, the recipe last."""

Sides = tuple[Block, np.ndarray, np.ndarray]
"""Queries, and their tokens less mu_D and less what a recipe subtracts."""


def query_codes(
    fde: FixedDimensionalEncoding, hashed: Float[np.ndarray, "n dim"], added: Float[np.ndarray, "n dim"], block: Block
) -> Float[np.ndarray, "queries size"]:
    """FDEs of queries whose tokens choose their buckets by one vector and add another one, the slow and obvious way."""
    planes, projections = fde.planes.numpy(), fde.projections
    assert projections is not None
    bits = (hashed @ planes).reshape(len(hashed), fde.repetitions, fde.bits) > 0
    buckets = bits @ (1 << np.arange(fde.bits))
    values = (added @ projections.numpy()).reshape(len(added), fde.repetitions, fde.width)
    codes = np.zeros((len(block.lengths), fde.repetitions, fde.buckets, fde.width), dtype=np.float32)
    query = np.repeat(np.arange(len(block.lengths)), block.lengths)
    for repetition in range(fde.repetitions):
        np.add.at(codes[:, repetition], (query, buckets[:, repetition]), values[:, repetition])
    return codes.reshape(len(codes), -1)


def sides(testbed: Testbed, words: list[str]) -> Sides:
    """The queries as a recipe's first stage sees them, and their tokens less mu_D and less what it subtracts."""
    options = center_of(words)
    store = testbed.seen_queries(options)
    mean = testbed.query_mean(options)
    assert mean is not None
    others = testbed.seen(options, testbed.encode_mean(mean), mean.texts)
    shift = centering.fit(options.name, testbed.document_mean, others, False, options.share, options.document_share)
    raw, moved = store.rows(0, len(store)), shift.apply_queries(store).rows(0, len(store))
    return raw, raw.tokens - testbed.document_mean, moved.tokens


def scores(
    testbed: Testbed, seen: Mapping[str, Sides], seed: int
) -> dict[str, list[Float[np.ndarray, "queries docs"]]]:
    """Recipe -> MUVERA's scores of all documents in each of the `PLACES`, for one draw."""
    muvera = registry.make({**entry("method", "muvera"), "seed": seed})
    fde = muvera.buckets(testbed.docs.dim, torch.device("cpu"))
    documents = centering.Centering(testbed.document_mean).apply_documents(testbed.docs)
    found = {}
    for recipe, (block, *by) in seen.items():
        tokens = dict(zip(("mu_D", "recipe"), by, strict=True))
        found[recipe] = [query_codes(fde, tokens[hashed], tokens[added], block) for hashed, added in PLACES]
    queries = np.concatenate([code for codes in found.values() for code in codes])
    parts = []
    for block in documents.blocks(1, 4 * fde.size, testbed.resources.block_bytes):
        parts.append(queries @ fde.documents(block).numpy().T)
    whole = np.concatenate(parts, axis=1).reshape(len(RECIPES), len(PLACES), -1, len(testbed.docs))
    return {recipe: list(whole[i]) for i, recipe in enumerate(RECIPES)}


def alike(found: Float[np.ndarray, "queries docs"]) -> float:
    """Mean correlation, over the documents, of the scores of two different queries."""
    moved = found - found.mean(axis=1, keepdims=True)
    units = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    total = units.sum(axis=0, dtype=np.float64)
    return float((total @ total - len(units)) / (len(units) * (len(units) - 1)))


def lines(testbed: Testbed) -> Iterator[dict[str, object]]:
    """One line for each recipe and place; that of the card's place also has the parts of its score."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    seen = {recipe: sides(testbed, words) for recipe, words in RECIPES.items()}
    for seed in SEEDS:
        for recipe, by_place in scores(testbed, seen, seed).items():
            for place, score in enumerate(by_place):
                first = RunningTopK(len(score), 11)
                first.add(0, score)
                best, _ = drop_self_matches(first.ranking(), testbed.self_rows, 10)
                line = {"rk=0": 100 * float(np.mean(testbed.evaluator.ndcg10(best.rows)))}
                if place == 0:
                    rest = by_place[PLACES.index(("mu_D", "recipe"))]
                    offset = score - rest
                    spread = [float(part.var(axis=1).mean()) for part in (offset, rest)]
                    line |= {"alike: offset": alike(offset), "alike: rest": alike(rest)}
                    line |= {"offset's share": spread[0] / sum(spread)}
                found.setdefault((recipe, place), []).append(line)
    for (recipe, place), draws in found.items():
        means = {name: fmean(draw[name] for draw in draws) for name in draws[0]}
        sd = float(np.std([draw["rk=0"] for draw in draws], ddof=1))
        hashed, added = PLACES[place]
        named = {"dataset": testbed.dataset_name, "recipe": recipe, "bucket by q -": hashed, "added q -": added}
        yield {**named, "rk=0": means.pop("rk=0"), "sd": sd, **means}


def figure(table: pd.DataFrame) -> Figure:
    """Left: NDCG@10 by what is shifted, mean over the sets. Right: how alike two queries' scores are, set by set."""
    drawn, (left, right) = style.panels(1, 2, style.WIDTH, 3)
    keys = ["recipe", "bucket by q -", "added q -"]
    means = table.groupby(keys, sort=False)["rk=0"].mean()
    looks = (("#3b0f70", "//"), ("#fba35f", ""))
    names = ["neither\n(the card's)", "the bucket", "the value", "both\n(the recipe)"]
    for i, (recipe, (color, hatch)) in enumerate(zip(RECIPES, looks, strict=True)):
        heights = [means[recipe, hashed, added] for hashed, added in PLACES]
        places = np.arange(len(PLACES)) + 0.4 * (i - 0.5)
        bars = left.bar(places, heights, 0.38, color=color, hatch=hatch, edgecolor="white", label=recipe)
        left.bar_label(bars, [f"{height:.1f}" for height in heights], fontsize=6)
    left.set_xticks(range(len(PLACES)), names)
    left.set_ylabel("mean NDCG@10 × 100, rk=0")
    left.set_xlabel("what the recipe shifts of each query token")
    style.legend_below(left)
    card = table[(table["recipe"] == next(iter(RECIPES))) & table["alike: offset"].notna()]
    rows = np.arange(len(card))
    right.plot(card["alike: offset"], rows, "s", color=looks[0][0], label="offset: S (s - mu_D) . D")
    right.plot(card["alike: rest"], rows, "o", color=looks[1][0], markeredgecolor="0.3", label="rest: S (q - s) . D")
    right.set_yticks(rows, card["dataset"])
    right.invert_yaxis()
    right.set_xlabel("correlation of two queries' scores")
    right.set_xlim(-0.05, 1.02)
    style.legend_below(right)
    return drawn


def main() -> None:
    """Measure every data set that the table lacks, and draw the figure."""
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["dataset"])
    for dataset in entry("suite", "offline8")["datasets"]:
        if dataset in set(table["dataset"]):
            continue
        words = ["model=answerai_colbert_small", f"dataset={dataset}", "progress=false", *sys.argv[1:]]
        config: Any = OmegaConf.to_container(compose.composed(compose.expand(words)), resolve=True)
        testbed = testbed_of(config, config["dataset"])
        table = pd.concat([table, pd.DataFrame(lines(testbed))], ignore_index=True)
        write_text(TABLE, table.to_csv(index=False, float_format="%.4f"))
        sys.stdout.write(f"{dataset}: done\n")
    with style.used():
        style.save(figure(table), ROOT / "results" / "figures", "mechanism-offline8")


if __name__ == "__main__":
    main()
