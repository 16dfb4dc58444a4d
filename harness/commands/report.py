"""`report`: one page of all that was measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.commands import selection
from harness.commands.command import VECTORS, Command
from harness.commands.plot import read_inputs
from harness.config import compose
from harness.system import streams
from harness.system.paths import user_path


def report(words: Sequence[str]) -> int:
    """Write the page of what was measured, and print its file."""
    overrides = selection.expand(words)
    options = compose.composed(overrides)
    from harness import records
    from harness import report as pages  # matplotlib, too

    selected = selection.measured(overrides, options)
    selected.check()
    inputs = read_inputs(selected, options)
    path = user_path(options.output) if options.output else inputs.results / "report.html"
    text, notes = pages.page(inputs, list(records.read_all(inputs.results)))
    pages.write(path, text)
    sys.stdout.write(f"{path}\n")
    streams.say("".join(f"note: {note}\n" for note in notes))
    return 0


COMMAND = Command(
    name="report",
    words="[OPTION=VALUE ...]",
    about="""Write everything that was measured into one HTML file, which needs no network: table, tests, costs and
    figures. Without a model or data set it shows everything in results_dir.""",
    reads=(*selection.READS, "depths", "output", "results_dir"),
    examples=("report suite=beir3", "report suite=beir3 model=lateon output=lateon.html"),
    run=report,
    own=VECTORS,
)
