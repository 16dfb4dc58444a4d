"""The words of a run or a sweep (-m): read, checked, and made into one configuration for each cell."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from harness.config import compose
from harness.config.hydra import through_hydra
from harness.system.errors import HarnessError

FLAGS = ("-m", "--multirun")


log = logging.getLogger(__name__)


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags that ask for a sweep, and the overrides, with their short forms written out."""
    flags = [word for word in words if word in FLAGS]
    return flags, compose.expand([word for word in words if word not in flags])


def answered_by_hydra(flags: Sequence[str], overrides: Sequence[str]) -> bool:
    """Whether it was --help, --cfg job or --info, which Hydra has answered."""
    if not any(word.startswith("-") for word in overrides):
        return False
    through_hydra([*flags, *overrides], lambda _: None)
    return True


def cells(
    flags: Sequence[str], overrides: Sequence[str], check: Callable[[DictConfig], None]
) -> tuple[list[DictConfig], list[str]]:
    """The configurations of a run or sweep, and one sentence for each that cannot be used."""
    if launchers := [word for word in overrides if word.startswith("hydra/launcher=")]:
        raise HarnessError(f"{launchers[0]}: only `run` takes a launcher.")
    composed = compose.composed(overrides)
    check_is_sweep(flags, overrides)
    check_writable("cache_dir", Path(composed.cache_dir))
    failures: list[str] = []
    usable: list[DictConfig] = []

    def collect(options: DictConfig) -> None:
        try:
            prepared = compose.prepare(options)
            check(prepared)
            usable.append(prepared)
        except HarnessError as error:  # of this cell of a sweep: the others go on
            log.error("error: %s", error)
            failures.append(str(error))

    through_hydra([*flags, *overrides], collect)
    return usable, failures


def check_is_sweep(flags: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse several values of an option where no sweep was asked for."""
    parsed = compose.parse(overrides)
    swept = [override.input_line for override in parsed if override.is_sweep_override()]
    if swept and not flags and "experiment" not in {override.key_or_group for override in parsed}:
        raise HarnessError(f"{swept[0]} names several values, which is a sweep: add -m.")


def say_failures(failures: Sequence[str]) -> int:
    """List what failed, where it is more than one; returns the exit code."""
    if len(failures) > 1:  # a single one was just said
        sys.stderr.write(f"{len(failures)} failed:\n" + "".join(f"  {failure}\n" for failure in failures))
    return 1


def check_writable(option: str, folder: Path) -> None:
    """Find out before any work that a folder cannot be written."""
    try:
        folder.expanduser().mkdir(parents=True, exist_ok=True)
        probe = folder.expanduser() / f".probe.{os.getpid()}"
        try:
            probe.write_bytes(bytes(1 << 14))  # what Hydra writes there, in its own words if it cannot
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise HarnessError(
            f"cannot write to {folder} ({error.strerror}): set {option} to a folder that can be written."
        ) from error
