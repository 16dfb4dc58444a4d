"""The second study of straight-through regularization: capacity and domain, over training runs. plan.md says why.

    python studies/ste2/study.py choose [CAPACITY ...]    learning rates, on sources that training left out: chosen.json
    python studies/ste2/study.py train [CAPACITY ...]     every arm, with the rate that was chosen
    python studies/ste2/study.py evaluate [CAPACITY ...] [DATASET ...]
                                                          every cell of the untrained model and of the trained arms
    python studies/ste2/study.py plaid [DATASET ...]      PLAID itself, untrained and of the arms that change most
    python studies/ste2/study.py collect                  records to scores.npz, geometries to geometry.csv, and heads
    python studies/ste2/study.py report                   scores.npz to comparisons.csv and README.md

Every command goes on where it was stopped; a capacity is head, adapter or layers:1, and without one all are taken. It
needs HARNESS_DATA and HARNESS_MODELS; trained models and records lie in HARNESS_CACHE/ste2.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import numpy as np
from arms import (  # beside this file, as are measure, report and rule
    CAPACITIES,
    CHOOSES,
    CHOSEN,
    DOMAINS,
    LEFT_OUT,
    RATES,
    Arm,
    arms,
    chosen,
    head,
    rate_of,
    runs,
    training,
)
from measure import DATASETS, PLAID_SETS, UNTRAINED, datasets_of, evaluate, on_left_out, plaid, suffix
from rule import Measured
from rule import choose as best

from harness import cli, records
from harness.system.files import write_json


def choose(capacities: Sequence[str]) -> list[str]:
    """Choose the learning rate of each capacity, from a run of each candidate; what failed, in sentences."""
    failures, left_out = on_left_out(UNTRAINED), (*DOMAINS["out"], *LEFT_OUT)
    for capacity in capacities:
        measured, arm = {}, Arm(capacity, "out", CHOOSES, 0)
        for rate in RATES:
            name = f"choice-{capacity.replace(':', '')}-{rate:g}"
            failures += _trained(name, training(arm, rate, left_out)) or on_left_out(name)
            measured[rate] = _on_left_out(name)
        if not failures:
            write_json(CHOSEN, {**chosen(), capacity: best(measured, _on_left_out(UNTRAINED))})
    return failures


def train(capacities: Sequence[str]) -> list[str]:
    """Train every arm; what failed, in sentences."""
    return [
        failure
        for arm in arms(capacities)
        for failure in _trained(arm.name, training(arm, rate_of(arm), DOMAINS[arm.domain]))
    ]


def measure(capacities: Sequence[str], datasets: Sequence[str]) -> list[str]:
    """Measure the untrained model and every arm; what failed, in sentences."""
    return [
        failure
        for arm in (None, *arms(capacities))
        for dataset in datasets_of(arm)
        if dataset in datasets
        for failure in evaluate(arm, dataset)
    ]


def measure_plaid(datasets: Sequence[str]) -> list[str]:
    """Measure PLAID on the untrained model and on the arms of the last layer; what failed, in sentences."""
    changed = [arm for arm in arms(["layers:1"]) if arm.domain == "out" and arm.objective != "ste_smve"]
    sets = [dataset for dataset in PLAID_SETS if dataset in datasets]
    return [failure for arm in (None, *changed) for dataset in sets for failure in plaid(arm, dataset)]


def _trained(name: str, words: list[str]) -> list[str]:
    """Train a model into the folder of its name; a sentence if that failed."""
    output = f"train.output={head(name).parent}"
    return [f"the training of {name} failed"] if cli.main(["train", *words, output]) else []


def _on_left_out(name: str) -> Measured:
    """The means of a model over the left-out sources."""
    found: dict[str, list[float]] = {}
    for record in records.read_all(runs() / "choice"):
        if record.model.endswith(suffix(name)):
            score = record.ndcg10[records.FINAL if record.method == "exact" else "0"]
            found.setdefault(record.method, []).append(score)
    if any(len(found.get(method, [])) != len(LEFT_OUT) for method in ("exact", "muvera")):
        return Measured(float("-inf"), float("-inf"))  # it failed, and the failure is reported
    return Measured(float(np.mean(found["exact"])), float(np.mean(found["muvera"])))


def main() -> int:
    """Run one of the commands."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("harness").setLevel(logging.INFO)
    command, *words = sys.argv[1:] or [""]
    capacities = [one for one in CAPACITIES if one in words] or CAPACITIES
    datasets = [one for one in DATASETS if one in words] or DATASETS
    takes = {
        "choose": {*CAPACITIES},
        "train": {*CAPACITIES},
        "evaluate": {*CAPACITIES, *DATASETS},
        "plaid": {*PLAID_SETS},
        "collect": set(),
        "report": set(),
    }
    if command not in takes or not takes[command].issuperset(words):
        sys.stderr.write(__doc__ or "")
        return 2
    if command in ("collect", "report"):
        import report  # beside this file

        (report.collect if command == "collect" else report.write)()
        return 0
    by_command = {
        "choose": lambda: choose(capacities),
        "train": lambda: train(capacities),
        "evaluate": lambda: measure(capacities, datasets),
        "plaid": lambda: measure_plaid(datasets),
    }
    failures = by_command[command]()
    sys.stderr.write("".join(f"{failure}\n" for failure in failures))
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
