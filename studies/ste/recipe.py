"""Does straight-through training still gain under the best recipe without training?

    python studies/ste/study.py recipe [DATASET ...] [option=value ...]
    python studies/ste/study.py report

`recipe` takes the study's ten models (the untrained one, and three arms with three training seeds) over its five test
collections: MUVERA with 10 draws, SMVE (w=16,384, k=16, Hadamard anchors) with 5, each with the card's centering and
with center=recommended. `report` then writes results/ste/recipe.npz (scores of each query in each draw) and the table
and tests of results/ste/README.md.

Fixed before the first run. Tested is the first stage alone (rk=0) under center=recommended: each method with the head
that was trained for it, against the contrastive control and against the untrained model. These four tests are one
family (Holm). Scores are averaged over training seeds first; the test is over queries and draws, as in
`table significance=true`. The same differences with center=corpus, the other method, and rk=50 and 100 are exploratory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scores import ARMS, METHODS  # beside this file
from settings import DATASETS, MODEL, MUVERA, RESULTS, SMVE, SMVE_MAIN, changed, head, runs, trained

from harness import records
from harness.config import compose, recommended
from harness.evaluation.significance import Comparison, compare, deviations, holm
from harness.run import run
from harness.system.files import read_arrays, write_arrays
from harness.tables import formats

DEPTHS = (0, 50, 100)
DRAWS = {"muvera": 10, "smve": 5}
RECIPES = ("corpus", recommended.NAME)
BASES = ("contrastive", "untrained")
ARRAYS = RESULTS / "recipe.npz"
Scores = dict[str, np.ndarray]
"""Data set -> NDCG@10 in each draw: of each query at rk=0, [draws, queries]; else the mean, [draws, 1]."""


def folder() -> Path:
    """Where the records are."""
    return runs(compose.composed(MODEL)) / "recipe"


def measure(words: list[str]) -> int:
    """Measure every cell on the data sets named, or on all; what was measured is not measured again."""
    failures: list[str] = []
    more = [word for word in words if "=" in word]
    smve = [*SMVE, *changed(SMVE_MAIN)]
    for dataset in [name for name in DATASETS if name in words] or DATASETS:
        for arm, seed in trained():
            base = [*MODEL, f"model.head={head(arm, seed)}", f"dataset={dataset}", "reference=null"]
            base += [f"depths=[{','.join(map(str, DEPTHS))}]", f"results_dir={folder()}", *more]
            cells = [
                [*base, *method, f"method.seeds={DRAWS[name]}", f"center={center}"]
                for name, method in (("muvera", MUVERA), ("smve", smve))
                for center in RECIPES
            ]
            failures += run([compose.composed(compose.expand(cell)) for cell in cells])
            sys.stdout.write(f"{dataset}: {arm}_s{seed}\n")
    for failure in failures:
        sys.stderr.write(failure + "\n")
    return int(bool(failures))


def collect() -> None:
    """Put the scores of all records into one file."""
    found = {}
    for record in records.read_all(folder(), DATASETS):
        method = record.method.split("+")[0]
        recipe = "corpus" if record.center == "corpus" else recommended.NAME
        if len(record.draws.seeds) != DRAWS[method]:
            raise SystemExit(f"{record.dataset} {record.model}: {len(record.draws.seeds)} draws; run `measure` first")
        name = record.model.rpartition("head=")[2]
        for depth in map(str, DEPTHS):
            values = record.draws.ndcg10[depth]
            if depth != "0":  # only the first stage alone is tested
                values = values.mean(axis=1, keepdims=True)
            found[f"{record.dataset}/{name}/{recipe}/{method}/{depth}"] = values.astype(np.float32)
    write_arrays(ARRAYS, **found)


def scores_of(arrays: dict[str, np.ndarray], arm: str, recipe: str, method: str, depth: int) -> Scores:
    """The scores of an arm, mean over its training seeds."""
    seeds = [seed for name, seed in trained() if name == arm]
    return {
        name: np.mean([arrays[f"{name}/{arm}_s{seed}/{recipe}/{method}/{depth}"] for seed in seeds], axis=0)
        for name in DATASETS
    }


def tested(left: Scores, right: Scores) -> Comparison:
    """Left less right, over queries and draws; both have the same draws."""
    differences = {name: 100 * (left[name].astype(np.float64) - right[name]) for name in left}
    draws = {name: (tuple(range(len(values))), values) for name, values in differences.items()}
    return compare({name: values.mean(axis=0) for name, values in differences.items()}, moved_by=deviations(draws))


def table() -> pd.DataFrame:
    """Every arm with every recipe: the mean over collections ± standard deviation over draws."""
    arrays, lines = read_arrays(ARRAYS), []
    for arm in ARMS:
        for method in DRAWS:
            for recipe in RECIPES:
                line = {"Model": arm, "Center": recipe, "Method": METHODS[method]}
                for depth in DEPTHS:
                    by_set = scores_of(arrays, arm, recipe, method, depth)
                    of_draws = 100 * np.mean([values.mean(axis=1) for values in by_set.values()], axis=0)
                    mean, deviation = float(of_draws.mean()), float(of_draws.std(ddof=1))
                    line[f"rk={depth}"] = formats.score(mean, deviation, float("nan"))
                lines.append(line)
    return pd.DataFrame(lines)


def tests() -> pd.DataFrame:
    """The four tests with Holm's correction; then the same with the card's centering, uncorrected."""
    arrays, lines = read_arrays(ARRAYS), []
    for recipe in reversed(RECIPES):
        pairs = [(method, base) for method in DRAWS for base in BASES]
        found = [
            tested(scores_of(arrays, f"ste_{method}", recipe, method, 0), scores_of(arrays, base, recipe, method, 0))
            for method, base in pairs
        ]
        corrected = holm([one.p for one in found]) if recipe == recommended.NAME else [float("nan")] * len(found)
        for (method, base), one, p in zip(pairs, found, corrected, strict=True):
            lines.append(
                {
                    "Method": METHODS[method],
                    "Center": recipe,
                    "Difference": f"ste_{method} - {base}",
                    "Points": formats.signed(one.delta, 2),
                    "95 % interval": f"{formats.signed(one.ci_low, 2)} to {formats.signed(one.ci_high, 2)}",
                    "p": formats.decimals(p, 4),
                    "Detectable": formats.decimals(one.detectable, 2),
                }
            )
    return pd.DataFrame(lines)
