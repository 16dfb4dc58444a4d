"""`run`: measure cells."""

from __future__ import annotations

from collections.abc import Sequence

from harness.commands import arguments, selection, table
from harness.commands.command import SHORT_FORMS, VECTORS, Command
from harness.sweep import launch


def run(words: Sequence[str]) -> int:
    """Measure what the overrides describe, then print the table of what succeeded."""
    flags, overrides = arguments.split(words)
    if arguments.print_configuration(flags, overrides):
        return 0

    launcher, of_hydra, overrides = launch.launcher(overrides)
    if launcher == "basic":
        cells, failures = arguments.cells(flags, [*overrides, *of_hydra], arguments.check_results, "run")
        from harness.run import run as measure

        failures += measure(cells)  # all at once: what they have in common is computed once
    else:
        launched_by, options = launch.prepared(launcher, of_hydra, overrides)  # a wrong word is said before any work
        cells, failures = arguments.cells(flags, overrides, arguments.check_results, "run")
        failures += launch.run(launcher, launched_by, options, cells)
    try:
        table.show(overrides, only_measured=True)
        shown = True
    except selection.NothingMeasuredError:
        if not failures and any(cell.shard is None for cell in cells):
            raise
        shown = False  # every cell failed, or no shard was the last one, as each has said
    return arguments.report_failures(failures, again=shown) if failures else 0


COMMAND = Command(
    name="run",
    words="[-m] [OPTION=VALUE ...]",
    about="""Measure a cell, or a sweep of cells with -m, and print the table of what was measured. Without a model or
    data set it is the demonstration, which needs no download.

    A cell is a model, a data set, a centering and a method; without `dataset` it is measured on each data set of the
    suite. A cell that fails does not stop the others. Finished cells are kept as records and not measured again; steps
    that cells share are computed once.

    model.path=FOLDER takes any PyLate checkpoint, vectors=FOLDER token vectors that any other model made,
    dataset.path=FOLDER any data set in the BEIR layout.""",
    reads=(
        *("model", *VECTORS, "suite", "dataset", "center", *SHORT_FORMS, "method", "index", "experiment", "depths"),
        *("metrics", "agreement", "reference"),
        *("overwrite", "shard"),
        *("save_runs", "device", "threads", "batch_tokens", "memory_mb", "progress"),
        *("data_dir", "models_dir", "cache_dir", "results_dir"),
        *("format", "significance", "cost", "per_query", "hydra"),
    ),
    examples=(
        "run model=lateon_reg method=smve",
        "run -m model=lateon,lateon_reg center=none,corpus method=plaid,muvera,smve",
    ),
    run=run,
    own={**VECTORS, **SHORT_FORMS},
    sweeps=True,
    kept="finished cells are kept in results_dir and finished steps in cache_dir: the same command goes on from there.",
)
