"""Workers that are killed at some of their jobs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness.measure import recording
from harness.sweep.launch import _Work


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


class KilledInSearch(_Work):
    """A worker that no search survives."""

    steps: tuple[str, ...] = ("search",)

    def __call__(self, config):
        if self.wave[config.job_number].step in self.steps:
            _kill()
        super().__call__(config)


class KilledAlways(KilledInSearch):
    """A worker that survives nothing."""

    steps = ("encode", "search", "measure")


class KilledOnce(_Work):
    """A worker that is killed at its first measuring, whichever of all workers that is."""

    folder = Path()

    def __init__(self, wave):
        super().__init__(wave)
        self.mark = self.folder / "killed"  # of the instance, which is what goes to the worker

    def __call__(self, config):
        if self.wave[config.job_number].step == "measure":
            try:
                self.mark.touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                _kill()
        super().__call__(config)


class KilledByTwo(_Work):
    """A worker that does not survive two of the data sets."""

    def __call__(self, config):
        if self.wave[config.job_number].options.dataset_name in ("set0", "set1"):
            _kill()
        super().__call__(config)


class KilledAtRecord(_Work):
    """A worker that is killed when all is there but the record."""

    def __call__(self, config):
        recording.write = lambda *_: _kill()
        super().__call__(config)
