"""`plot` and `report`: figures of what was measured, and one page of all of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from harness import config
from harness.commands import selection

if TYPE_CHECKING:
    from harness.figures import Inputs


def plot(words: Sequence[str]) -> int:
    """Draw figures of what was measured, and print their files."""
    overrides = config.expand(words)
    options = config.composed(overrides)
    from harness import figures  # matplotlib is for those who plot

    figures.check(options.what)
    inputs = _inputs(overrides, options)
    folder = Path(options.figures_dir).expanduser() if options.figures_dir else inputs.results / "figures"
    paths, notes = figures.draw(inputs, options.what, folder)
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    return 0


def report(words: Sequence[str]) -> int:
    """Write the page of what was measured, and print its file."""
    overrides = config.expand(words)
    options = config.composed(overrides)
    from harness import records
    from harness import report as pages  # matplotlib, too

    inputs = _inputs(overrides, options)
    if not inputs.rows or not inputs.records:
        raise selection.nothing(inputs.datasets, inputs.results)
    path = Path(options.output).expanduser() if options.output else inputs.results / "report.html"
    text, notes = pages.page(inputs, list(records.read_all(inputs.results)))
    pages.write(path, text)
    sys.stdout.write(f"{path}\n")
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    return 0


def _inputs(overrides: Sequence[str], options: DictConfig) -> Inputs:
    """What was measured of what the overrides name, with the geometries of its models."""
    from harness import diagnosis, figures

    results, suite, datasets, named, found, rows = selection.measured(overrides, options)
    files = [path for name in datasets for path in sorted(diagnosis.path_of(results, name, "").parent.glob("*.json"))]
    looked_at = selection.models(named, {record.model for record in found} | {path.stem for path in files})
    geometries = [diagnosis.read(path) for path in files if not looked_at or path.stem in looked_at]
    return figures.Inputs(results, suite, datasets, list(options.depths), rows, found, geometries)
