"""`run`: measure cells."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from harness.commands import arguments, selection, table
from harness.sweep import launch


def run(words: Sequence[str]) -> int:
    """Measure what the overrides describe, then print its table."""
    flags, overrides = arguments.split(words)
    if arguments.answered_by_hydra(flags, overrides):
        return 0

    def check(options: DictConfig) -> None:
        from harness.config.options import results_dir  # torch and PyLate take seconds to import

        arguments.check_writable("results_dir", results_dir(options.results_dir))

    launcher, of_hydra, overrides = launch.launcher(overrides)
    if launcher == "basic":
        of_hydra = [word for word in of_hydra if word != "hydra/launcher=basic"]
        cells, failures = arguments.cells(flags, [*overrides, *of_hydra], check)
        from harness.run import run as measure

        failures += measure(cells)  # all at once: what they have in common is computed once
    else:
        launched_by, options = launch.prepared(launcher, of_hydra, overrides)  # a wrong word is said before any work
        cells, failures = arguments.cells(flags, overrides, check)
        failures += launch.run(launcher, launched_by, options, cells)
    if failures:
        return arguments.say_failures(failures)
    try:
        return table.show(overrides, only_measured=True)
    except selection.NothingMeasuredError:
        if any(cell.shard is None for cell in cells):
            raise
        return 0  # no shard was the last one, as each has said
