"""`report`: one page of all that was measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import selection
from harness.config import compose

if TYPE_CHECKING:
    pass
from harness.commands.plot import _inputs


def report(words: Sequence[str]) -> int:
    """Write the page of what was measured, and print its file."""
    overrides = compose.expand(words)
    options = compose.composed(overrides)
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
