"""The second study of straight-through regularization: capacity and domain, over training runs. plan.md says why.

    python studies/ste2/study.py choose [CAPACITY ...]    learning rates, on sources that training left out: chosen.json
    python studies/ste2/study.py train [CAPACITY ...]     every arm, with the rate that was chosen
    python studies/ste2/study.py evaluate [CAPACITY ...] [DATASET ...]
                                                          every cell of the untrained model and of the trained arms
    python studies/ste2/study.py collect                  records to scores.npz, geometries to geometry.csv, heads
    python studies/ste2/study.py report                   scores.npz to comparisons.csv, means.csv and tables

Every command goes on where it was stopped; a capacity is head, adapter, layers:1, layers:4 or layers:12, and without
one all are taken. The first three take options of the harness, too, such as device=cuda and threads=2, and workers=N: N
processes at once. It needs HARNESS_DATA and HARNESS_MODELS; trained models and records lie in HARNESS_CACHE/ste2.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
import shared
from arms import (  # beside this file, as are shared, measure, report and rule
    CAPACITIES,
    CHOICE,
    CHOOSES,
    CHOSEN,
    DOMAINS,
    LEFT_OUT,
    RATES,
    TOP,
    Arm,
    arms,
    chosen,
    head,
    rate_of,
    runs,
    training,
)
from measure import DATASETS, UNTRAINED, datasets_of, evaluate, group_of, on_left_out, suffix
from rule import Measured
from rule import choose as best
from safetensors.torch import load_file, save

from harness import cli, records
from harness.models import heads
from harness.system.files import replacing, write_json, write_text

Task = Callable[[], list[str]]
"""A part of a command, which returns what failed, in sentences."""


def choose(capacities: Sequence[str]) -> list[Task]:
    """A run of each candidate for the learning rate of each capacity, and the untrained model's scores."""
    tries = [partial(attempt, capacity, rate) for capacity in reversed(capacities) for rate in RATES]
    return [*tries, partial(on_left_out, UNTRAINED)]


def attempt(capacity: str, rate: float) -> list[str]:
    """Train a candidate and measure it on the sources that choose; what failed, in sentences."""
    left_out, name = (*DOMAINS["out"], *LEFT_OUT), _candidate(capacity, rate)
    return _trained(name, training(Arm(capacity, "out", CHOOSES, 0), rate, left_out)) or on_left_out(name)


def keep_choice(capacities: Sequence[str]) -> None:
    """Write the learning rates that the rule chooses, and what every candidate scored: choice.csv."""
    untrained = _on_left_out(UNTRAINED)
    tries = {capacity: {rate: _on_left_out(_candidate(capacity, rate)) for rate in RATES} for capacity in capacities}
    write_json(CHOSEN, {**chosen(), **{capacity: best(found, untrained) for capacity, found in tries.items()}})
    lines = pd.DataFrame(
        {"Capacity": capacity, "Rate": f"{rate:g}", "exact": 100 * one.exact, "MUVERA": 100 * one.first_stage}
        for capacity, found in ({UNTRAINED: {0.0: untrained}} | tries).items()
        for rate, one in found.items()
    )
    if CHOICE.exists():  # other capacities, which were chosen before
        kept = pd.read_csv(CHOICE, dtype={"Rate": str})
        lines = pd.concat([lines, kept[~kept["Capacity"].isin(lines["Capacity"])]])
    write_text(CHOICE, lines.to_csv(index=False, float_format="%.2f"))


def train(capacities: Sequence[str]) -> list[Task]:
    """The training of every arm."""
    return [partial(train_arm, arm) for arm in arms(capacities)]


def train_arm(arm: Arm) -> list[str]:
    """Train an arm; what failed, in sentences."""
    return _trained(arm.name, training(arm, rate_of(arm), DOMAINS[arm.domain]))


def measure(capacities: Sequence[str], datasets: Sequence[str]) -> list[Task]:
    """The evaluation of the untrained model and of the arms on each data set; those that share a cache in one task."""
    groups: dict[str, list[Arm | None]] = {}
    for arm in (None, *sorted(arms(capacities), key=lambda arm: arm.capacity != TOP)):
        groups.setdefault(group_of(arm), []).append(arm)
    return [
        partial(evaluate_all, measured, dataset)
        for group in groups.values()
        for dataset in datasets
        if (measured := [arm for arm in group if dataset in datasets_of(arm)])
    ]


def evaluate_all(group: Sequence[Arm | None], dataset: str) -> list[str]:
    """Measure some arms on a data set; None: the untrained model. What failed, in sentences."""
    return [failure for arm in group for failure in evaluate(arm, dataset)]


def done(tasks: Iterable[Task], workers: int, options: Sequence[str]) -> list[str]:
    """Do all tasks, in as many processes, with options of the harness; what failed, in sentences."""
    shared.take(options)  # here too, if others do the tasks: what comes after reads where they wrote
    if workers == 1:
        return [failure for task in tasks for failure in task()]
    spawn = multiprocessing.get_context("spawn")  # a process that uses a GPU cannot be forked
    with ProcessPoolExecutor(workers, spawn, shared.take, (options,)) as pool:
        return [*chain.from_iterable([running.result() for running in [pool.submit(task) for task in tasks]])]


def _candidate(capacity: str, rate: float) -> str:
    """The name of a candidate's folder."""
    return f"choice-{capacity.replace(':', '')}-{rate:g}"


def _trained(name: str, words: list[str]) -> list[str]:
    """Train a model into the folder of its name, and round its weights to float16; a sentence if that failed."""
    if cli.main(["train", *words, f"train.output={head(name).parent}"]):
        return [f"the training of {name} failed"]
    weights, what = load_file(head(name)), heads.trained(head(name))
    with replacing(head(name)) as file:  # what is committed is what was measured
        file.write(save({key: value.half() for key, value in weights.items()}, {"trained": what}))
    return []


def _on_left_out(name: str) -> Measured:
    """The means of a model over the left-out sources."""
    found: dict[str, list[float]] = {}
    for record in records.read_all(runs() / "choice"):
        if record.model.endswith(suffix(name)):
            score = record.ndcg10[records.FINAL if record.method == "exact" else "0"]
            found.setdefault(record.method, []).append(score)
    if any(len(found.get(method, [])) != len(LEFT_OUT) for method in ("exact", "muvera")):
        raise SystemExit(f"{name} was not measured on {' and '.join(LEFT_OUT)}: run `study.py choose` again.")
    return Measured(float(np.mean(found["exact"])), float(np.mean(found["muvera"])))


def main() -> int:
    """Run one of the commands."""
    command, *rest = sys.argv[1:] or [""]
    words = [word for word in rest if "=" not in word]
    options = [word for word in rest if "=" in word and not word.startswith("workers=")]
    (workers,) = [int(word.removeprefix("workers=")) for word in rest if word.startswith("workers=")] or [1]
    capacities = [one for one in CAPACITIES if one in words] or CAPACITIES
    datasets = [one for one in DATASETS if one in words] or DATASETS
    takes = {
        "choose": {*CAPACITIES},
        "train": {*CAPACITIES},
        "evaluate": {*CAPACITIES, *DATASETS},
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
    tasks_of = {
        "choose": lambda: choose(capacities),
        "train": lambda: train(capacities),
        "evaluate": lambda: measure(capacities, datasets),
    }
    tasks = tasks_of[command]()
    failures = done(tasks, workers, options)
    sys.stderr.write("".join(f"{failure}\n" for failure in failures))
    if command == "choose" and not failures:
        keep_choice(capacities)
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
