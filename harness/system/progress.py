"""Progress bars and phase timers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


def bar(text: str, total: int, show: bool) -> tqdm:
    """A progress bar for a ``with`` statement; silent if not asked for, or not on a terminal."""
    return tqdm(desc=text, total=total, disable=not on_terminal(show), leave=False, dynamic_ncols=True)


def on_terminal(show: bool) -> bool:
    """Whether a progress bar is asked for and would be seen."""
    return show and sys.stderr.isatty()


class Stopwatch:
    """Seconds per named phase; a phase that is entered again adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block under `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
