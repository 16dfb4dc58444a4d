"""`geometry` and `geometry compare`: how token vectors lie, of each model or of two side by side."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from harness.commands import arguments, selection
from harness.commands.command import VECTORS, Command
from harness.config import compose, suites, sweeps
from harness.config.options import results_dir
from harness.system.errors import HarnessError
from harness.system.messages import warn_once

log = logging.getLogger(__name__)


def geometry(words: Sequence[str]) -> int:
    """Measure the geometry of each (model, data set)."""
    flags, overrides = arguments.split(words)
    if arguments.print_configuration(flags, overrides):
        return 0
    sweeps.cells(overrides, is_sweep=bool(set(flags) & set(arguments.SWEEP)))  # refuses several values without -m
    named = {override.key_or_group for override in compose.parse(overrides)}
    every = {"method": "muvera,smve", "center": "none,corpus,own"}
    overrides += [f"{group}={names}" for group, names in every.items() if group not in named]
    cells, failures = arguments.cells(["-m"], overrides, lambda options: None)
    from harness.geometry import file, measure, tables

    for path in measure.diagnose_cells(cells, failures):
        found = file.read(path)
        parts = [tables.measures(found), tables.first_stages(found), *tables.remarks(found)]
        sys.stdout.write("\n\n".join([*parts, f"Record: {path}"]) + "\n\n")
        for line in tables.warnings(found):
            warn_once(log, "%s  %s: %s", found["dataset"], found["model"], line)
    return arguments.report_failures(failures) if failures else 0


def compare(words: Sequence[str]) -> int:
    """Put two models side by side."""
    from harness.geometry import tables

    models = {word[:1]: word[2:] for word in words if word.startswith(("a=", "b="))}
    if len(set(models.values()) - {""}) < 2:
        raise HarnessError(
            "geometry compare needs two models: a=MODEL b=MODEL, different files' names in results/geometry."
        )
    overrides = [word for word in words if not word.startswith(("a=", "b="))]
    options = compose.composed(overrides)
    chosen = selection.names(overrides, options)
    units = selection.datasets(chosen, options)[1] if chosen["dataset"] or chosen["suite"] else {}
    results = results_dir(options.results_dir)
    sys.stdout.write(tables.compare(results, [models["a"], models["b"]], suites.flat(units)))
    return 0


COMPARE = Command(
    name="geometry compare",
    words="a=MODEL b=MODEL [OPTION=VALUE ...]",
    about="""Put two models side by side, as means over the data sets on which the geometry of both was measured.""",
    reads=("a", "b", "dataset=", "suite", "experiment", "results_dir"),
    own={name: "a model, as its files in results_dir/geometry are called" for name in ("a", "b")},
    examples=("geometry compare a=lateon b=lateon_reg", "geometry compare a=lateon b=lateon_reg suite=beir3"),
    run=compare,
)
COMMAND = Command(
    name="geometry",
    words="[-m] [OPTION=VALUE ...]",
    about="""Measure how token vectors lie, what the projections of MUVERA and SMVE see of them, and how well each
    first stage follows MaxSim. Without `method` or `center` it measures both methods under all centerings
    that subtract one vector from all texts of a side.""",
    reads=(
        *("model", *VECTORS, "suite", "dataset", "center", "method", "experiment", "geometry.", "overwrite"),
        *("device", "threads", "batch_tokens", "memory_mb", "progress", "shard"),
        *("data_dir", "models_dir", "cache_dir", "results_dir"),
    ),
    examples=("geometry", "geometry -m model=answerai_colbert_small dataset=scifact,nfcorpus,arguana"),
    run=geometry,
    own=VECTORS,
    sweeps=True,
    kept="what was measured is kept in results_dir, finished steps in cache_dir: the same command goes on from there.",
    parts={"compare": COMPARE},
)
