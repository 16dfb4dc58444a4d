"""`status`: how far a run or a sweep is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.commands import arguments
from harness.sweep import launch


def status(words: Sequence[str]) -> int:
    """Say how far a run or a sweep is."""
    flags, overrides = arguments.split(words)
    if arguments.answered_by_hydra(flags, overrides):
        return 0
    _, _, overrides = launch.launcher(overrides)
    cells, failures = arguments.cells(flags, overrides, lambda options: None)
    from harness.sweep import status as statuses

    if cells:
        sys.stdout.write(statuses.table(statuses.progress(cells)) + "\n")
    return arguments.say_failures(failures) if failures else 0
