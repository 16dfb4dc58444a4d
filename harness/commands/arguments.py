"""The words of a command that sweeps: split into flags and options, and made into one configuration for each cell."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from omegaconf import DictConfig, OmegaConf

from harness.config import compose, sweeps
from harness.config.options import results_dir
from harness.config.untrusted import PRINT
from harness.system import streams
from harness.system.errors import HarnessError
from harness.system.files import check_writable
from harness.system.paths import user_path

SWEEP = ("-m", "--multirun")
log = logging.getLogger(__name__)


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags, and the options with their short forms written out."""
    flags: list[str] = []
    others: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        is_flag = word.startswith("-") or (before in PRINT and "=" not in word)
        (flags if is_flag else others).append(word)
    return flags, compose.expand(others)


def print_configuration(flags: Sequence[str], overrides: Sequence[str]) -> bool:
    """Answer --cfg job with the options as YAML; whether it was asked for.

    Raises
    ------
    HarnessError
        For --cfg with another word than ``job``.
    """
    wanted = [flag for flag in flags if flag.partition("=")[0] in PRINT]
    if not wanted:
        return False
    if not ({"job"} & set(flags) or wanted[0].endswith("=job")):
        raise HarnessError(f"{' '.join(flags)}: expected --cfg job, which prints the options of the run.")
    sys.stdout.write(OmegaConf.to_yaml(compose.composed(overrides)))
    return True


def cells(
    flags: Sequence[str], overrides: Sequence[str], check: Callable[[DictConfig], None], table_of: str | None = None
) -> tuple[list[DictConfig], list[str]]:
    """The configurations of a run or sweep, and one sentence for each that cannot be used.

    Parameters
    ----------
    table_of
        The command, if it prints a table of the cells.

    Raises
    ------
    HarnessError
        If the first cell cannot be used, several values are no sweep, the table's format is unknown, or cache_dir
        cannot be written.
    """
    first = compose.composed(overrides)
    if table_of:
        check_format(table_of, first)
    planned = sweeps.cells(overrides, is_sweep=bool(set(flags) & set(SWEEP)))
    check_writable("cache_dir", user_path(first.cache_dir))
    failures: list[str] = []
    usable: list[DictConfig] = []
    for words in planned:
        try:
            options = first if words == [*overrides] else compose.composed(words)  # a run is its own first cell
            check(options)
            usable.append(options)
        except HarnessError as error:  # the other cells of the sweep go on
            log.error("error: %s", error)
            failures.append(str(error))
    return usable, failures


def report_failures(failures: Sequence[str], again: bool = False) -> int:
    """List the failures, a single one only if it is to be said `again`; returns the exit code."""
    if again or len(failures) > 1:  # a single one was just printed
        streams.say(f"{len(failures)} failed:\n" + "".join(f"  {failure}\n" for failure in failures))
    return 1


def check_format(command: str, options: DictConfig, known: Sequence[str] = ("markdown", "csv", "latex")) -> None:
    """Refuse a format that a command does not write.

    Raises
    ------
    HarnessError
        With the formats that it does write.
    """
    if options.format not in known:
        raise HarnessError(f"format={options.format}: `{command}` knows {', '.join(known[:-1])} and {known[-1]}.")


def check_results(options: DictConfig) -> None:
    """Find out before any work that results cannot be written."""
    check_writable("results_dir", results_dir(options.results_dir))
