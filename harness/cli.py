"""The command line: a command, and the words after it."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from harness.commands import (
    advise,
    bench,
    cache,
    check,
    export,
    geometry,
    ls,
    plot,
    report,
    reproduce,
    run,
    score,
    status,
    table,
    train,
)
from harness.commands.command import HELP, Command
from harness.system import homes, messages, streams
from harness.system.errors import HarnessError, unknown

_MODULES = (
    *(run, table, advise, check, score, export, train),
    *(geometry, plot, report, status, reproduce, cache, bench, ls),
)
COMMANDS: dict[str, Command] = {module.COMMAND.name: module.COMMAND for module in _MODULES}
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def usage() -> str:
    """The page of `python -m harness --help`: every command in a sentence."""
    lines = []
    for command in COMMANDS.values():
        text = textwrap.fill(command.summary, 108, initial_indent=f"  {command.name:11}", subsequent_indent=" " * 13)
        lines.append(text)
    return "\n".join(
        [
            "usage: python -m harness COMMAND [OPTION=VALUE ...]",
            "",
            *lines,
            "",
            "python -m harness COMMAND --help    what a command does, the options that it reads, examples",
            "python -m harness --version",
            "",
            "examples:",
            "  python -m harness run",
            "  python -m harness run model.path=my/colbert dataset.path=my/beir-folder method=muvera",
            "  python -m harness table suite=beir3 significance=true",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code, 2 for bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    messages.forget()
    try:
        streams.prepare()
        code = _run(words)
        sys.stdout.flush()
        streams.say("")  # whatever a log handler could not write is dropped here, not at the end of the process
        return code
    except HarnessError as error:
        streams.say(f"error: {error}\n")
        return 2
    except BrokenPipeError:  # `| head`
        streams.silence(sys.stdout)
        return 0
    except OSError as error:
        if (found := streams.unwritable(error)) is None:
            raise
        streams.silence(sys.stdout)
        streams.say(f"error: {found}\n")
        return 2


def _run(words: Sequence[str]) -> int:
    """Run the command that the first word names."""
    if not words or words[0] in (*HELP, "help"):
        sys.stdout.write(usage())
        return 0 if words else 2
    if words[0] == "--version":
        sys.stdout.write(f"late-interaction-harness {_version()}\n")
        return 0
    if words[0] not in COMMANDS:
        raise unknown("command", words[0], COMMANDS)
    given = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("cache_dir=")]
    homes.place([*given[-1:], os.environ.get("HARNESS_CACHE")])
    return COMMANDS[words[0]](words[1:])


def interrupted(words: Sequence[str]) -> int:
    """Say what an interrupted command leaves, in one sentence; returns the exit code."""
    kept = COMMANDS[words[0]].kept if words and words[0] in COMMANDS else Command.kept
    streams.say(f"\ninterrupted: {kept}\n")
    return INTERRUPTED


def _version() -> str:
    try:
        return version("late-interaction-harness")
    except PackageNotFoundError:  # the source without an installation
        return "unknown"
