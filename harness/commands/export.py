"""`export`: a first stage's means and random numbers, for a database."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from harness.commands import arguments
from harness.commands.command import SHORT_FORMS, Command
from harness.config import compose, sweeps
from harness.config.options import CenterOptions, MethodOptions, RunOptions
from harness.system.errors import HarnessError
from harness.system.paths import user_path


def export(words: Sequence[str]) -> int:
    """Write the folder, and print how it is read."""
    overrides = compose.expand(words)
    sweeps.cells(overrides, is_sweep=False)  # refuses several values
    config = compose.composed(overrides)
    if not config.output or not config.dataset:
        missing = "output=FOLDER" if config.dataset else "dataset=NAME, whose documents give the means"
        raise HarnessError(f"export needs {missing}.")
    arguments.check_writable("output", user_path(config.output))
    from harness.export import codes
    from harness.measure.failing import Failures
    from harness.measure.testbed import Testbed

    given: Any = OmegaConf.to_container(config, resolve=True)
    method, center = MethodOptions.of(given.pop("method")), CenterOptions.of(given.pop("center"))
    with Testbed.open(RunOptions.of(given, given["dataset"]), Failures()) as testbed:
        codes.export(testbed, method, center, user_path(config.output))
    sys.stdout.write(f"{config.output}: {', '.join((codes.DESCRIPTION, codes.ARRAYS, codes.READER.name))}\n")
    return 0


COMMAND = Command(
    name="export",
    words="output=FOLDER dataset=NAME [OPTION=VALUE ...]",
    about="""Write what a database needs to make the codes of MUVERA or SMVE: means, hyperplanes and projections or
    anchors, a description, and a reader in numpy. The means are those of the data set's documents.""",
    reads=(
        *("output", "model", "dataset", "center", *SHORT_FORMS, "method"),
        *("device", "threads", "batch_tokens", "memory_mb", "progress", "data_dir", "models_dir", "cache_dir"),
    ),
    examples=(
        "export model=lateon_reg dataset=scifact method=muvera center=recommended output=encoder",
        "export model.path=my/colbert dataset.path=my/beir-folder method=smve output=encoder",
    ),
    run=export,
    own=SHORT_FORMS,
    kept="a folder without encoder.json is not complete; the same command writes it again.",
)
