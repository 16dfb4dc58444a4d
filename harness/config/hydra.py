"""The one place that runs inside `hydra.main`: launchers and sweeps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import hydra
from omegaconf import DictConfig

from harness.config import entries


def through_hydra(words: Sequence[str], task: Callable[[DictConfig], None]) -> None:
    """Give the words to Hydra, which composes each cell of a sweep and calls `task` with it."""
    task.__module__ = "harness.cli"  # by which Hydra names its job
    decorated = hydra.main(config_path=str(entries.CONF_DIR), config_name="config", version_base="1.3")(task)
    before, sys.argv = sys.argv, ["python -m harness run", *words]
    try:
        decorated()
    finally:
        sys.argv = before
