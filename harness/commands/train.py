"""`train`: a model trained with each objective that is asked for."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from harness.commands import arguments
from harness.commands.command import Command
from harness.config import entries
from harness.config.texts import written
from harness.system.errors import HarnessError

log = logging.getLogger(__name__)


def train(words: Sequence[str]) -> int:
    """Train with one objective, or with each of a sweep (-m); says where the result is and how to evaluate it."""
    flags, expanded = arguments.split(words)
    overrides = [word for word in expanded if word != "experiment=demo"]
    if arguments.print_configuration(flags, overrides):
        return 0
    cells, failures = arguments.cells(flags, overrides, lambda options: None)
    if len({str(cell.train.output) for cell in cells}) < len(cells) and cells[0].train.output:
        raise HarnessError("train.output is one folder, for a sweep of several runs: leave it out.")
    from harness.training import train as training

    for options in cells:
        plain: Any = OmegaConf.to_container(options)
        try:
            output = training.train(plain)
        except HarnessError as error:
            if len(cells) == 1:
                raise
            log.error("error: %s", error)  # of this run of a sweep: the others go on
            failures.append(str(error))
            continue
        sys.stdout.write(f"{output}\n  python -m harness run {_trained(options, output)}\n")
    return arguments.report_failures(failures) if failures else 0


def _trained(options: DictConfig, output: Path) -> str:
    """The overrides that evaluate a trained model: what was trained on the layers that stayed, or all of it."""
    from harness.training.folder import HEAD, MODEL

    if options.train.trainable == "all":
        return shlex.quote(written("model.path", str(output / MODEL)))
    known = options.model.name in entries.choices("model")
    words = [f"model={options.model.name}"] if known else []
    words += [written("model.path", options.model.path)] if options.model.path else []
    return shlex.join([*words, f"model.dtype={options.model.dtype}", written("model.head", str(output / HEAD))])


COMMAND = Command(
    name="train",
    words="[-m] [OPTION=VALUE ...]",
    about="""Train a model, or its last layers or projection, so that its vectors survive the projections of MUVERA or
    SMVE; with -m, once per objective. It prints where the result is and the command that evaluates it.""",
    reads=(
        *("objective", "train_data", "model", "experiment", "alpha", "train.", "overwrite"),
        *("device", "threads", "batch_tokens", "memory_mb", "progress", "data_dir", "models_dir", "cache_dir"),
    ),
    examples=(
        "train objective=ste_muvera train_data.path=my/pairs model.path=my/colbert",
        "train -m objective=contrastive,ste_muvera,ste_smve model=answerai_colbert_small train_data=offline",
    ),
    run=train,
    sweeps=True,
    kept="the last checkpoint is kept in the folder of the run: the same command goes on from there.",
)
