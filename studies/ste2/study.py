"""The second study of straight-through regularization: capacity and domain, over training runs. plan.md says why.

    python studies/ste2/study.py choose [CAPACITY ...]    recipes, on sources that training left out: chosen.json
    python studies/ste2/study.py train [CAPACITY ...]     every arm, with the recipe that was chosen
    python studies/ste2/study.py evaluate [CAPACITY ...] [DATASET ...]
                                                          every cell of the untrained model and of the trained arms
    python studies/ste2/study.py collect                  records to scores.npz, geometries to geometry.csv
    python studies/ste2/study.py report                   scores.npz to comparisons.csv and README.md

Every command goes on where it was stopped; a capacity is head, adapter, layers:1 or layers:4, and without one all are
taken. It needs HARNESS_DATA and HARNESS_MODELS; trained models and records lie in HARNESS_CACHE/ste2.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import numpy as np
from arms import (  # beside this file, as are measure, report, rule and shared
    CAPACITIES,
    CHOOSES_FOR,
    CHOSEN,
    DOMAINS,
    LEFT_OUT,
    OBJECTIVES,
    arms,
    candidates,
    chosen,
    head,
    recipe_of,
    runs,
    training,
)
from measure import DATASETS, evaluate, on_left_out
from rule import Measured
from rule import choose as best
from shared import own_head

from harness import cli, records
from harness.system.files import write_json

UNTRAINED = "untrained"


def choose(capacities: Sequence[str]) -> list[str]:
    """Choose the recipe of each objective and capacity, from a run of each candidate; what failed, in sentences."""
    own_head.write(head(UNTRAINED))
    failures, found = on_left_out(UNTRAINED), chosen()
    for capacity in [one for one in capacities if one not in CHOOSES_FOR]:
        for objective, method in OBJECTIVES.items():
            measured = {}
            for number, recipe in enumerate(candidates(objective)):
                name = f"choice-{capacity.replace(':', '')}-{objective}-{number}"
                left_out = (*DOMAINS["out"], *LEFT_OUT)
                failures += _trained(name, training(capacity, objective, recipe, 0, left_out)) or on_left_out(name)
                measured[recipe] = _on_left_out(name, method)
            if not failures:
                recipe = best(measured, _on_left_out(UNTRAINED, method))
                found = {**found, capacity: {**found.get(capacity, {}), objective: recipe}}
                write_json(CHOSEN, found)
    return failures


def train(capacities: Sequence[str]) -> list[str]:
    """Train every arm; what failed, in sentences."""
    failures = []
    for arm in arms(capacities):
        words = training(arm.capacity, arm.objective, recipe_of(arm), arm.run, DOMAINS[arm.domain])
        failures += _trained(arm.name, words)
    return failures


def measure(capacities: Sequence[str], datasets: Sequence[str]) -> list[str]:
    """Measure the untrained model and every arm; what failed, in sentences."""
    own_head.write(head(UNTRAINED))
    models = [(UNTRAINED, True), *((arm.name, arm.meets_plaid) for arm in arms(capacities))]
    return [failure for model, plaid in models for dataset in datasets for failure in evaluate(model, dataset, plaid)]


def _trained(name: str, words: list[str]) -> list[str]:
    """Train a model into the folder of its name; a sentence if that failed."""
    output = f"train.output={head(name).parent}"
    return [f"the training of {name} failed"] if cli.main(["train", *words, output]) else []


def _on_left_out(name: str, method: str) -> Measured:
    """The means of a model over the left-out sources."""
    found: dict[str, list[float]] = {}
    for record in records.read_all(runs() / "choice"):
        if record.model.endswith(f"head={name}"):
            kind = record.method.split("+")[0]
            found.setdefault(kind, []).append(record.ndcg10[records.FINAL if kind == "exact" else "0"])
    if any(len(found.get(kind, [])) != len(LEFT_OUT) for kind in ("exact", method)):
        return Measured(float("-inf"), float("-inf"))  # it failed, and the failure is reported
    return Measured(float(np.mean(found["exact"])), float(np.mean(found[method])))


def main() -> int:
    """Run one of the commands."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("harness").setLevel(logging.INFO)
    command, *words = sys.argv[1:] or [""]
    capacities = [one for one in CAPACITIES if one in words] or CAPACITIES
    datasets = [one for one in DATASETS if one in words] or DATASETS
    known = {*CAPACITIES, *(DATASETS if command == "evaluate" else ())}
    if command in ("choose", "train", "evaluate") and set(words) <= known:
        by_command = {"choose": choose, "train": train, "evaluate": lambda some: measure(some, datasets)}
        failures = by_command[command](capacities)
        sys.stderr.write("".join(f"{failure}\n" for failure in failures))
        return int(bool(failures))
    if command in ("collect", "report") and not words:
        import report  # beside this file

        (report.collect if command == "collect" else report.write)()
        return 0
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
