"""Workers that are killed at some of their units."""

from __future__ import annotations

import os
import signal

from harness.commands.workers import _Work


class KilledInSearch(_Work):
    """A worker that no search survives."""

    steps: tuple[str, ...] = ("search",)

    def __call__(self, config):
        if self.wave[config.unit].step in self.steps:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__call__(config)


class KilledAlways(KilledInSearch):
    """A worker that survives nothing."""

    steps = ("encode", "search", "measure")
