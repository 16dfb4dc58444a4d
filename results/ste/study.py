"""The study of straight-through regularization: train the arms, measure them, write the report.

    python results/ste/study.py pilot      the recipes that were tried, on the validation split: pilot.csv
    python results/ste/study.py train      3 objectives x 3 seeds, heads of answerai-colbert-small
    python results/ste/study.py measure [DATASET ...] [MODEL ...] [overrides]
                                           every cell of the report; what was measured is not measured again
    python results/ste/study.py report     per_query.npz, transfer.csv, geometry.csv, claims.json, README.md

It needs HARNESS_DATA and HARNESS_MODELS; heads and records lie in HARNESS_CACHE/ste. Nothing here was chosen on the
sets that are reported: the recipe is the result of `pilot`, on the validation split of the training data.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import OmegaConf

from harness import center, cli, config, heads, models
from harness.files import write_json, write_text
from harness.geometry import Moments
from harness.run import run_cells
from harness.subject import Subject

HERE = Path(__file__).resolve().parent
MODEL = ["model=answerai_colbert_small", "model.dtype=bfloat16"]
ARMS = ("contrastive", "ste_muvera", "ste_smve")
SEEDS = (0, 1, 2)
DATASETS = ("cranfield", "nfcorpus", "msmarco-dl19-pool", "scifact", "arguana")
TRANSFER_SETS = ("cranfield", "nfcorpus")  # other seeds and hyperparameters are 34 cells a model
SMVE = ["method=smve", "method.anchors=hadamard"]
# An eighth of the default's time with Gaussian anchors; the default is a variant.
SMVE_MAIN = {"width": 16384, "keep": 16}
MUVERA = ["method=muvera"]
PROJECTION_SEEDS = (1, 2, 3, 4)  # and 42, the default
MUVERA_OPTIONS = (
    {"repetitions": 10},
    {"repetitions": 40, "projection": 8},
    {"bits": 4},
    {"bits": 6},
    {"projection": 32},
)
SMVE_OPTIONS = (
    {"width": 4096, "keep": 8},
    {"width": 16384, "keep": 64},
    {"width": 65536, "keep": 8},
    {"width": 65536, "keep": 32},
)

_STEPS = "train.epochs=1 train.temperature=0.01 train.learning_rate="
_WEAK, _STRONG = "alpha=0.5 objective.temperature=0.03", "alpha=0.8 objective.temperature=0.01"
PILOT = {
    "contrastive_2epochs_warm_slow": "train.epochs=2 train.temperature=0.03 train.learning_rate=5e-6",
    "contrastive_2epochs_warm": "train.epochs=2 train.temperature=0.03 train.learning_rate=2e-5",
    "contrastive_2epochs": "train.epochs=2 train.temperature=0.01 train.learning_rate=2e-5",
    "ste_muvera_2epochs_weak": f"train.epochs=2 train.temperature=0.01 train.learning_rate=2e-5 {_WEAK}",
    "contrastive": f"{_STEPS}1e-5",
    "ste_muvera_weak": f"{_STEPS}1e-5 {_WEAK}",
    "ste_muvera": f"{_STEPS}1e-5 {_STRONG}",
    "ste_muvera_own": f"{_STEPS}1e-5 {_STRONG} objective.center=own",
    "ste_muvera_fast": f"{_STEPS}2e-5 {_STRONG}",
    "ste_muvera_cold": f"{_STEPS}1e-5 alpha=0.95 objective.temperature=0.005",
    "ste_muvera_hard": f"{_STEPS}1e-5 {_STRONG} objective.slope=null",
    "ste_smve_weak_steep": f"{_STEPS}1e-5 {_WEAK} objective.slope=30",
    "ste_smve": f"{_STEPS}1e-5 {_STRONG}",
}
"""Recipes that were tried, in this order. The rule: the most NDCG@10 at rk=0 of the trained method with center=corpus,
among those whose exact MaxSim is at most 0.1 points below the untrained model's. It chose ``ste_muvera_cold`` and
``ste_smve``, now conf/objective/; ``contrastive`` is their control."""


def runs(options: Any) -> Path:
    """Where heads and records are."""
    return Path(options.cache_dir).expanduser() / "ste"


def head(arm: str, seed: int) -> Path:
    """The file of a trained head."""
    return runs(config.composed(MODEL)) / f"{arm}_s{seed}" / "head.safetensors"


def train() -> int:
    """Train what is not trained yet; ``untrained`` is the model's own head as a file, to go the same way."""
    options = config.composed(MODEL)
    own = head("untrained", 0)
    if not own.exists():
        plain = OmegaConf.to_container(options.model)
        checkpoint = models.locate(plain, options.models_dir)
        heads.write(models.load(plain, checkpoint, torch.device("cpu"), None), own)
    failed = 0
    for seed, arm in itertools.product(SEEDS, ARMS):
        output = f"train.output={head(arm, seed).parent}"
        failed += cli.main(["train", *MODEL, "experiment=ste", f"objective={arm}", f"train.seed={seed}", output])
    return int(bool(failed))


def pilot() -> int:
    """Train every recipe that was tried (seed 0), and write what the validation split said of it."""
    rows = []
    for name, changed in PILOT.items():
        output = runs(config.composed(MODEL)) / "pilot" / name
        objective = next(arm for arm in ARMS if name.startswith(arm))
        fixed = [f"objective={objective}", "train_data=offline", "train.save_model=false", f"train.output={output}"]
        if cli.main(["train", *MODEL, *fixed, *changed.split()]):
            return 1
        done = json.loads((output / "training.json").read_text())
        untrained = {"name": "untrained", "options": "", "steps": 0, **done["before"]}
        rows += [] if rows else [untrained]
        rows.append({"name": name, "options": changed, "steps": done["steps"], **done["after"]})
    write_text(HERE / "pilot.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.4f"))
    return 0


def cells(arm: str, seed: int, dataset: str) -> Iterator[list[str]]:
    """Overrides of every cell of a model on a data set."""
    yield ["method=exact"]
    for where in center.KINDS:
        yield [f"center={where}", *MUVERA]
        yield [f"center={where}", *SMVE, *_changed(SMVE_MAIN)]
    if seed or dataset not in TRANSFER_SETS:
        return
    for where in center.KINDS[1:]:
        for other in PROJECTION_SEEDS:
            yield [f"center={where}", *MUVERA, f"method.seed={other}"]
            yield [f"center={where}", *SMVE, *_changed(SMVE_MAIN), f"method.seed={other}"]
        for method, variants in ((MUVERA, MUVERA_OPTIONS), (SMVE, SMVE_OPTIONS)):
            for changed in variants:
                yield [f"center={where}", *method, *_changed(changed)]


def _changed(options: dict[str, int]) -> list[str]:
    return [f"method.{key}={value}" for key, value in options.items()]


def trained() -> list[tuple[str, int]]:
    """All models, one of each arm first."""
    return [("untrained", 0), *((arm, seed) for seed in SEEDS for arm in ARMS)]


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
            options = config.composed(base)
            base.append(f"results_dir={runs(options)}")
            failures += run_cells([config.composed([*base, *cell]) for cell in cells(arm, seed, dataset)])
            _geometry(arm, seed, dataset, options)
    for failure in failures:
        sys.stderr.write(failure + "\n")
    return int(bool(failures))


def _geometry(arm: str, seed: int, dataset: str, options: Any) -> None:
    path = runs(options) / "geometry" / f"{dataset}-{arm}_s{seed}.json"
    plain: Any = OmegaConf.to_container(options)
    subject = Subject(plain, plain["dataset"])
    if path.exists() and json.loads(path.read_text()).get("weights", "") == subject.checkpoint.sha256:
        return
    own = config.entry("center", "own")
    others = subject.encode_mean(subject.query_mean(own))
    found: dict[str, Any] = {}
    for side, store in (("documents", subject.docs), ("queries", subject.queries)):
        raw = Moments.of(store)
        found[side] = {
            "n": raw.n,
            "raw": {"mean_pairwise_cosine": raw.mean_pairwise_cosine, **raw.measures(centered=False)},
            "covariance": raw.measures(centered=True),
        }
        for where in center.KINDS[1:]:
            shift = center.fit(where, subject.document_mean, others, own["renormalize"])
            moved = shift.apply_documents(store) if side == "documents" else shift.apply_queries(store)
            found[side][where] = {"mean_pairwise_cosine": Moments.of(moved).mean_pairwise_cosine}
    write_json(path, {"dataset": dataset, "arm": arm, "seed": seed, "weights": subject.checkpoint.sha256, **found})


def write_report() -> int:
    """Everything beside this file but pilot.csv."""
    import report  # beside this file

    return report.write(runs(config.composed(MODEL)))


def main() -> int:
    """Run one of the commands."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("harness").setLevel(logging.INFO)
    command, *words = sys.argv[1:] or [""]
    if command == "measure":
        return measure(words)
    commands = {"pilot": pilot, "train": train, "report": write_report}
    if command not in commands or words:
        sys.stderr.write(__doc__ or "")
        return 2
    return commands[command]()


if __name__ == "__main__":
    raise SystemExit(main())
