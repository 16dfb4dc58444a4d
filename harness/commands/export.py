"""`export`: a first stage's means and random numbers, for a database; or results, in mteb's format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from harness.commands import selection
from harness.commands.command import SHORT_FORMS, VECTORS, Command, option_of
from harness.config import compose, sweeps
from harness.config.options import CenterOptions, MethodOptions, RunOptions
from harness.system.errors import HarnessError
from harness.system.files import check_writable
from harness.system.paths import user_path

MTEB = "mteb"


def export(words: Sequence[str]) -> int:
    """Write the folder, and print how it is read."""
    formats = [word.partition("=")[2] for word in words if option_of(word) == "format"]
    if formats and formats[-1] != MTEB:
        raise HarnessError(
            f"format={formats[-1]}: `export` knows {MTEB}, for results; without the word it writes a first stage."
        )
    return _results(selection.expand(words)) if formats else _first_stage(compose.expand(words))


def _first_stage(overrides: Sequence[str]) -> int:
    """Write the numbers of one first stage."""
    sweeps.cells(overrides, is_sweep=False)  # refuses several values
    config = compose.composed(overrides)
    _check(config, needs_dataset=True)
    from harness.export import codes
    from harness.measure.failing import Failures
    from harness.measure.testbed import Testbed

    given: Any = OmegaConf.to_container(config, resolve=True)
    method, center = MethodOptions.of(given.pop("method")), CenterOptions.of(given.pop("center"))
    with Testbed.open(RunOptions.of(given, given["dataset"]), Failures()) as testbed:
        codes.export(testbed, method, center, user_path(config.output))
    sys.stdout.write(f"{config.output}: {', '.join((codes.DESCRIPTION, codes.ARRAYS, codes.READER.name))}\n")
    return 0


def _results(overrides: Sequence[str]) -> int:
    """Write what was measured of what the overrides name, in mteb's format."""
    config = compose.composed(overrides)
    _check(config, needs_dataset=False)
    from harness.export import mteb
    from harness.tables import PLAID, by_row

    selected = selection.measured(overrides, config)
    selected.check()
    named = selection.names(overrides, config)["method"]
    rows = [row for row in selected.rows if row.method != PLAID or not named or PLAID in named]
    found = by_row(selected.records)
    wanted = [found[row, name] for row in rows for name in selected.datasets if (row, name) in found]
    files = mteb.export(wanted, list(config.depths), user_path(config.output))
    if not files:
        raise selection.NothingMeasuredError("no record has these depths and methods: `table` shows what was measured.")
    sys.stdout.write(f"{config.output}: {len(files)} results, for mteb.ResultCache({config.output!r})\n")
    return 0


def _check(config: DictConfig, needs_dataset: bool) -> None:
    """Refuse to begin without a folder that can be written, or without documents for the means."""
    if not config.output:
        raise HarnessError("export needs output=FOLDER.")
    if needs_dataset and not config.dataset:
        raise HarnessError("export needs dataset=NAME, whose documents give the means.")
    check_writable("output", user_path(config.output))


COMMAND = Command(
    name="export",
    words="output=FOLDER dataset=NAME [OPTION=VALUE ...]",
    about="""Write what a database needs to make the codes of MUVERA or SMVE: means, hyperplanes and projections or
    anchors, a description, and a reader in numpy. The means are those of the data set's documents.

    With format=mteb it writes results instead: those of the records that the words name, as for `table`, at each of
    `depths`, in the format of mteb's results.""",
    reads=(
        *("output", "format", "model", "suite=", "dataset", "center", *SHORT_FORMS, "method", *VECTORS, "experiment"),
        *("depths", "results_dir"),
        *("device", "threads", "batch_tokens", "memory_mb", "progress", "data_dir", "models_dir", "cache_dir"),
    ),
    examples=(
        "export model=lateon_reg dataset=scifact method=muvera center=recommended output=encoder",
        "export format=mteb model=lateon_reg suite=beir8 method=muvera depths=[100] output=mteb",
    ),
    run=export,
    own={**SHORT_FORMS, **VECTORS},
    kept="a folder without encoder.json is not complete; the same command writes it again.",
)
