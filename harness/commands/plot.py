"""`plot`: figures of what was measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from harness.commands import selection
from harness.commands.command import VECTORS, Command
from harness.config import compose, suites
from harness.system import streams
from harness.system.paths import user_path

if TYPE_CHECKING:
    from harness.figures import Inputs


def plot(words: Sequence[str]) -> int:
    """Draw figures of what was measured, and print their files."""
    overrides = selection.expand(words)
    options = compose.composed(overrides)
    from harness import figures  # matplotlib is for those who plot

    figures.check(options.what)
    inputs = read_inputs(selection.measured(overrides, options), options)
    folder = user_path(options.figures_dir) if options.figures_dir else inputs.results / "figures"
    paths, notes = figures.draw(inputs, options.what, folder)
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    streams.say("".join(f"note: {note}\n" for note in notes))
    return 0


def read_inputs(selected: selection.Measured, options: DictConfig) -> Inputs:
    """What was measured, with the geometries of its models."""
    from harness import figures
    from harness.geometry import file

    results, suite, units, named, found, rows = selected
    names = suites.flat(units)
    files = [path for name in names for path in sorted(file.path_of(results, name, "").parent.glob("*.json"))]
    looked_at = selection.models(named, {record.model for record in found} | {path.stem for path in files})
    geometries = [file.read(path) for path in files if not looked_at or path.stem in looked_at]
    return figures.Inputs(results, suite, selected.datasets, list(options.depths), rows, found, geometries)


COMMAND = Command(
    name="plot",
    words="[OPTION=VALUE ...]",
    about="""Draw figures (SVG and PNG) of what was measured, and print their files. Without a model or data set
    everything in results_dir is drawn.""",
    reads=(*selection.READS, "depths", "what", "results_dir", "figures_dir"),
    examples=("plot suite=beir3", "plot dataset=cisi what=budget"),
    run=plot,
    own=VECTORS,
)
