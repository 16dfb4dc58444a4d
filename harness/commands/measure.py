"""`run`, `status`, `reproduce` and `bench`: cells measured, looked after, measured again; inner loops timed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from harness import config
from harness.commands import results, selection, sweeps, workers
from harness.errors import HarnessError


def run(words: Sequence[str]) -> int:
    """Measure what the overrides describe, then print its table."""
    flags, overrides = sweeps.split(words)
    if sweeps.answered_by_hydra(flags, overrides):
        return 0

    def check(options: DictConfig) -> None:
        from harness.plan import results_dir  # torch and PyLate take seconds to import

        sweeps.check_writable("results_dir", results_dir(options.results_dir))

    launcher, of_hydra, overrides = workers.launcher(overrides)
    if launcher == "basic":
        of_hydra = [word for word in of_hydra if word != "hydra/launcher=basic"]
        cells, failures = sweeps.cells(flags, [*overrides, *of_hydra], check)
        from harness.run import run_cells

        failures += run_cells(cells)  # all at once: what they have in common is computed once
    else:
        launched_by, options = workers.prepared(launcher, of_hydra, overrides)  # a wrong word is said before any work
        cells, failures = sweeps.cells(flags, overrides, check)
        failures += workers.run(launcher, launched_by, options, cells)
    if failures:
        return sweeps.say_failures(failures)
    try:
        return results.show(overrides, only_measured=True)
    except selection.NothingMeasuredError:
        if any(cell.shard is None for cell in cells):
            raise
        return 0  # no shard was the last one, as each has said


def status(words: Sequence[str]) -> int:
    """Say how far a run or a sweep is."""
    flags, overrides = sweeps.split(words)
    if sweeps.answered_by_hydra(flags, overrides):
        return 0
    _, _, overrides = workers.launcher(overrides)
    cells, failures = sweeps.cells(flags, overrides, lambda options: None)
    from harness import status as statuses

    if cells:
        sys.stdout.write(statuses.table(statuses.progress(cells)) + "\n")
    return sweeps.say_failures(failures) if failures else 0


def reproduce(words: Sequence[str]) -> int:
    """Measure a record's cell again, and compare; 0 if all scores are the same, or nearly."""
    if not words:
        raise HarnessError("reproduce needs a record first, such as results/records/scifact/MODEL/corpus/smve.json.")
    from harness import reproduction, verdict

    then = reproduction.read(Path(words[0]).expanduser())
    configured = reproduction.configuration(then, words[1:])
    sweeps.check_writable("cache_dir", Path(configured.cache_dir))
    found = reproduction.repeat(configured)
    if found is None:
        return 2  # what failed was said
    compared = verdict.compare(then, found.record)
    cached = ", ".join(found.cached)
    source = f"from the cache ({cached}); cache_dir=FOLDER, an empty one, makes them anew" if cached else "made anew"
    sys.stdout.write(f"{verdict.text(compared, source)}\n")
    return int(compared.verdict == verdict.DIFFERENT)


def bench(words: Sequence[str]) -> int:
    """Time the inner loops on one data set, by default the demonstration's."""
    from harness import bench as benchmark

    expanded = config.expand(words)
    if not {word.split("=")[0] for word in expanded} & {"dataset", "suite", "experiment"}:
        expanded.append("suite=demo")  # nobody downloads eight data sets for a benchmark
    return benchmark.run(config.composed(expanded))
