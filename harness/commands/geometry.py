"""`geometry` and `geometry compare`: how token vectors lie, of each model or of two side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.commands import arguments, selection
from harness.config import compose
from harness.system.errors import HarnessError

COMPARE_USAGE = """usage: python -m harness geometry compare a=MODEL b=MODEL [dataset=...|suite=...]

  a, b: files' names in results/geometry, which `python -m harness geometry` writes
"""


def geometry(words: Sequence[str]) -> int:
    """Measure the geometry of each (model, data set), or put two models side by side."""
    if words[:1] == ["compare"]:
        return _compare(words[1:])
    flags, overrides = arguments.split(words)
    if arguments.answered_by_hydra(flags, overrides):
        return 0
    arguments.check_is_sweep(flags, overrides)
    named = {override.key_or_group for override in compose.parse(overrides)}
    every = {"method": "muvera,smve", "center": "none,corpus,own"}
    overrides += [f"{group}={names}" for group, names in every.items() if group not in named]
    cells, failures = arguments.cells(["-m"], overrides, lambda options: None)
    from harness.geometry import file, measure, tables

    for path in measure.diagnose_cells(cells, failures):
        found = file.read(path)
        parts = [tables.measures(found), tables.first_stages(found), *tables.remarks(found)]
        sys.stdout.write("\n\n".join([*parts, f"Record: {path}"]) + "\n\n")
    return arguments.say_failures(failures) if failures else 0


def _compare(words: Sequence[str]) -> int:
    if {"-h", "--help"} & set(words):
        sys.stdout.write(COMPARE_USAGE)
        return 0
    from harness.config.options import results_dir
    from harness.geometry import tables

    models = {word[:1]: word[2:] for word in words if word.startswith(("a=", "b="))}
    if len(set(models.values()) - {""}) < 2:
        raise HarnessError(
            "geometry compare needs two models: a=MODEL b=MODEL, different files' names in results/geometry."
        )
    overrides = [word for word in words if not word.startswith(("a=", "b="))]
    options = compose.composed(overrides)
    chosen = selection.names(overrides, options)
    datasets = selection.datasets(chosen, options)[1] if chosen["dataset"] or chosen["suite"] else []
    results = results_dir(options.results_dir)
    sys.stdout.write(tables.compare(results, [models["a"], models["b"]], datasets))
    return 0
