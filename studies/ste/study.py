"""The study of straight-through regularization: train the arms, measure them, write the report.

    python studies/ste/study.py pilot [NAME ...]
                                           the recipes that were tried, on the validation split: pilot.csv
    python studies/ste/study.py train      3 objectives x 3 seeds, heads of answerai-colbert-small
    python studies/ste/study.py measure [DATASET ...] [MODEL ...] [overrides]
                                           every cell of the report; what was measured is not measured again
    python studies/ste/study.py remedies [NAME ...]
                                           other recipes, on sources that training did not see: remedies.csv
    python studies/ste/study.py sources    the validation split source by source: sources.csv
    python studies/ste/study.py recipe [DATASET ...] [overrides]
                                           the arms under the best recipe without training, with draws: recipe.npz
    python studies/ste/study.py report     per_query.npz, transfer.csv, geometry.csv, claims.json, README.md

With names, `pilot` and `remedies` do these alone and write no table. It needs HARNESS_DATA and HARNESS_MODELS; heads
and records lie in HARNESS_CACHE/ste. Nothing here was chosen on the sets that are reported: the recipe is the result of
`pilot`, on the validation split of the training data.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
from pathlib import Path
from typing import Any

import own_head  # beside this file, as are recipe, remedies, settings and sources
import pandas as pd
import recipe
import remedies as tables
from omegaconf import OmegaConf
from settings import (
    ARMS,
    DATASETS,
    FALLBACK,
    HELD_SOURCES,
    MODEL,
    PILOT,
    REMEDIES,
    RESULTS,
    SEEDS,
    cells,
    head,
    main_cells,
    runs,
    trained,
)
from sources import measure_sources

from harness import cli
from harness.config import compose, entries
from harness.config.options import CenterOptions
from harness.data import loading
from harness.geometry.moments import Moments
from harness.measure.testbed import testbed_of
from harness.run import run
from harness.system.files import write_json, write_text
from harness.vectors import centering


def train() -> int:
    """Train what is not trained yet; ``untrained`` is the model's own head as a file, to go the same way."""
    own_head.write(head("untrained", 0))
    failed = 0
    for seed, arm in itertools.product(SEEDS, ARMS):
        output = f"train.output={head(arm, seed).parent}"
        failed += cli.main(["train", *MODEL, "experiment=ste", f"objective={arm}", f"train.seed={seed}", output])
    return int(bool(failed))


def pilot(names: list[str]) -> int:
    """Train every recipe that was tried (seed 0), and write what the validation split said of it."""
    folder = runs(compose.composed(MODEL)) / "pilot"
    found = _try(PILOT, names, folder, [])
    if found and not names:
        untrained = {"name": "untrained", "options": "", "steps": 0, **next(iter(found.values()))["before"]}
        rows = [
            {"name": name, "options": PILOT[name], "steps": done["steps"], **done["after"]}
            for name, done in found.items()
        ]
        write_text(RESULTS / "pilot.csv", pd.DataFrame([untrained, *rows]).to_csv(index=False, float_format="%.4f"))
    return int(not found)


def _try(recipes: dict[str, str], names: list[str], folder: Path, more: list[str]) -> dict[str, dict[str, Any]]:
    """Train recipes (all, or those named), each in its folder; what each run measured, or nothing if one failed."""
    found = {}
    for name in names or recipes:
        objective = next(arm for arm in ARMS if name.startswith(arm))
        fixed = [
            f"objective={objective}",
            "train_data=offline",
            "train.save_model=false",
            f"train.output={folder / name}",
        ]
        if cli.main(["train", *MODEL, *fixed, *more, *recipes[name].split()]):
            return {}
        found[name] = json.loads((folder / name / "training.json").read_text())
    return found


def remedies(names: list[str]) -> int:
    """Train other recipes without some sources, and measure them on two of these and on three test collections."""
    folder = runs(compose.composed(MODEL)) / "remedies"
    found = _try(REMEDIES, names, folder, [f"~train_data.sources.{name}" for name in HELD_SOURCES])
    failures, offsets = [], {}
    for path in [head("untrained", 0), *(folder / name / "head.safetensors" for name in found)]:
        for dataset in (*tables.HELD, *tables.TESTS):
            base = [*MODEL, f"model.head={path}", *_data(dataset), "reference=null", f"results_dir={folder}"]
            failures += run([compose.composed([*base, *cell]) for cell in main_cells()])
            offsets[path.parent.name.removesuffix("_s0"), dataset] = _offset(compose.composed(base))
    for failure in failures:
        sys.stderr.write(failure + "\n")
    if found and not names and not failures:
        after = {name: {"options": REMEDIES[name], **done["after"]} for name, done in found.items()}
        before = {"options": "", **next(iter(found.values()))["before"]}
        tables.collect(folder, {"untrained": before, **after}, offsets)
    return int(bool(failures) or not found)


def _offset(options: Any) -> float:
    """|mu_Q - mu_D|^2 as a share of the mean of |q - mu_D|^2, over the evaluated queries."""
    plain: Any = OmegaConf.to_container(options)
    testbed = testbed_of(plain, plain["dataset"])
    shift = centering.fit("corpus", testbed.document_mean, None, renormalize=False)
    moments = Moments.of(shift.apply_queries(testbed.queries))
    mean = moments.total / moments.n
    return float(mean @ mean / (moments.outer.trace() / moments.n))


def _data(name: str) -> list[str]:
    """Overrides that choose a data set, or a source of the training data as one."""
    if name not in HELD_SOURCES:
        return [f"dataset={name}"]
    options = compose.composed(MODEL)
    path = loading.folder({"name": name, "path": None}, options.data_dir, Path(options.cache_dir).expanduser())
    return ["dataset=local", f"dataset.path={path}", "dataset.split=train"]


def measure(words: list[str]) -> int:
    """Measure every cell, and the geometry of every model: on all data sets and of all models, or of those named."""
    failures: list[str] = []
    overrides = [word for word in words if "=" in word]
    for dataset in [name for name in DATASETS if name in words] or DATASETS:
        named = [(arm, seed) for arm, seed in trained() if f"{arm}_s{seed}" in words]
        for arm, seed in named or trained():
            if not head(arm, seed).exists():
                failures.append(f"{dataset}: {arm}_s{seed} is not trained yet")
                continue
            base = [*MODEL, f"model.head={head(arm, seed)}", f"dataset={dataset}", "reference=null", *overrides]
            options = compose.composed(base)
            base.append(f"results_dir={runs(options)}")
            failures += run([compose.composed([*base, *cell]) for cell in cells(arm, seed, dataset)])
            _geometry(arm, seed, dataset, options)
    for failure in failures:
        sys.stderr.write(failure + "\n")
    return int(bool(failures))


def _geometry(arm: str, seed: int, dataset: str, options: Any) -> None:
    path = runs(options) / "geometry" / f"{dataset}-{arm}_s{seed}.json"
    plain: Any = OmegaConf.to_container(options)
    testbed = testbed_of(plain, plain["dataset"])
    if path.exists() and json.loads(path.read_text()).get("weights", "") == testbed.identity["weights"]:
        return
    own = {**entries.entry("center", "own"), "fallback": FALLBACK}
    mean = testbed.query_mean(CenterOptions.of(own))
    others = testbed.encode_mean(mean) if mean else None
    found: dict[str, Any] = {}
    for side, store in (("documents", testbed.docs), ("queries", testbed.queries)):
        raw = Moments.of(store)
        found[side] = {
            "n": raw.n,
            "raw": {"mean_pairwise_cosine": raw.mean_pairwise_cosine, **raw.measures(centered=False)},
            "covariance": raw.measures(centered=True),
        }
        for where in list(centering.constant_kinds())[1:]:
            shift = centering.fit(where, testbed.document_mean, others, own["renormalize"])
            moved = shift.apply_documents(store) if side == "documents" else shift.apply_queries(store)
            found[side][where] = {"mean_pairwise_cosine": Moments.of(moved).mean_pairwise_cosine}
    write_json(path, {"dataset": dataset, "arm": arm, "seed": seed, "weights": testbed.identity["weights"], **found})


def write_report() -> int:
    """Write the tables and claims of results/ste."""
    import report  # beside this file

    return report.write(runs(compose.composed(MODEL)))


def main() -> int:
    """Run one of the commands."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("harness").setLevel(logging.INFO)
    command, *words = sys.argv[1:] or [""]
    if command in ("measure", "recipe"):
        return (measure if command == "measure" else recipe.measure)(words)
    recipes = {"pilot": PILOT, "remedies": REMEDIES}
    if command in recipes and set(words) <= recipes[command].keys():
        return (pilot if command == "pilot" else remedies)(words)
    commands = {"train": train, "sources": measure_sources, "report": write_report}
    if command not in commands or words:
        sys.stderr.write(__doc__ or "")
        return 2
    return commands[command]()


if __name__ == "__main__":
    raise SystemExit(main())
