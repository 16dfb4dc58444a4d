"""Words of the command line that several commands get: each is given those that it reads."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cli import COMMANDS
from harness.commands.command import option_of


def read_by(command: str, words: Sequence[str]) -> list[str]:
    """The words but for options that the command does not read, and would refuse."""
    return [word for word in words if not option_of(word) or COMMANDS[command].does_read(option_of(word))]
