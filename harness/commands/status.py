"""`status`: how far a run or a sweep is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.commands import arguments
from harness.commands import run as run_command
from harness.commands.command import Command
from harness.sweep import launch


def status(words: Sequence[str]) -> int:
    """Say how far a run or a sweep is."""
    flags, overrides = arguments.split(words)
    if arguments.print_configuration(flags, overrides):
        return 0
    _, _, overrides = launch.launcher(overrides)
    cells, failures = arguments.cells(flags, overrides, lambda options: None)
    from harness.sweep import status as statuses

    if cells:
        sys.stdout.write(statuses.table(statuses.progress(cells)) + "\n")
    return arguments.report_failures(failures) if failures else 0


COMMAND = Command(
    name="status",
    words="[-m] [OPTION=VALUE ...]",
    about="""Show which cells of a run or sweep are done, running, failed or missing, and estimate the time that is
    left. It takes the words of `run`: those that say which cells there are, and where they are kept.""",
    reads=run_command.COMMAND.reads,
    examples=("status", "status -m model=lateon,lateon_reg method=plaid,smve"),
    run=status,
    own=run_command.COMMAND.own,
    sweeps=True,
)
