"""Progress of long work: a bar on a terminal, lines in a log anywhere else; and a stopwatch for named phases.

Without a terminal (a log file, CI, nohup), a phase writes lines through the ``harness`` logger at level INFO:

    encode scifact documents: started, 5,183 documents on cpu
    encode scifact documents: 1,024 of 5,183 documents after 60 s, about 4 min left
    encode scifact documents: done, 5,183 documents in 297 s

The first line comes once the phase has taken `QUIET` seconds, so that quick phases write nothing; then there is one
line every `EVERY` seconds. A thread writes them, because a phase may be a single call that returns only at its end,
such as the build of PLAID's index. The option ``progress=false`` turns off both bars and lines.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import torch
from tqdm import tqdm

log = logging.getLogger(__name__)
QUIET = 5.0
"""Seconds after which a phase writes its first line."""
EVERY = 60.0
"""Seconds between two lines of a phase."""


class Progress:
    """How far a phase is, as a context manager. This base class shows nothing.

    Attributes
    ----------
    total : number of units in the phase; may be set later, where it is only known then
    done : units that are finished, by this process or before it began
    """

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        return None

    def update(self, count: int = 1) -> None:
        """Count units that this process has just finished."""
        self.done += count

    def move_to(self, done: int) -> None:
        """Set the number of finished units, where others finished some (an earlier run, another process)."""
        self.done = done


class TerminalBar(Progress):
    """A tqdm bar on standard error, removed at the end of the phase."""

    def __init__(self, text: str, total: int) -> None:
        super().__init__(total)
        self._bar = tqdm(desc=text, total=total, leave=False, dynamic_ncols=True)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._bar.close()

    def update(self, count: int = 1) -> None:
        """As `Progress.update`."""
        super().update(count)
        self._bar.total = self.total
        self._bar.update(count)

    def move_to(self, done: int) -> None:
        """As `Progress.move_to`."""
        super().move_to(done)
        self._bar.total, self._bar.n = self.total, done
        self._bar.refresh()


class LogLines(Progress):
    """Lines in the log.

    Parameters
    ----------
    unit
        Plural noun for what is counted. A phase with a `total` of 1 is not counted: its text says what it works on.
    device
        Device that computes; None: not mentioned.
    clock
        Gives the time in seconds.
    """

    def __init__(
        self,
        text: str,
        total: int,
        unit: str,
        device: torch.device | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(total)
        self.text, self.unit, self.device, self.clock = text, unit, device, clock
        self.own = 0  # units finished by this process
        self._started = False  # whether the first line was written
        self._ended = threading.Event()

    def __enter__(self) -> LogLines:
        self._began = self.clock()
        self._due = self._began + QUIET
        self._thread = threading.Thread(target=self._watch, name=f"progress of {self.text}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        seconds = self.clock() - self._began
        if seconds < QUIET and not self._started:
            return
        count = f", {self.own:,} {self.unit}" if self.total != 1 else ""
        log.info("%s: %s%s in %.0f s", self.text, "stopped" if kind else "done", count, seconds)

    def update(self, count: int = 1) -> None:
        """As `Progress.update`."""
        super().update(count)
        self.own += count

    def report(self) -> None:
        """Write the line that is due, if one is."""
        now = self.clock()
        if now < self._due:
            return
        if not self._started:
            self._started = True
            log.info("%s: started%s", self.text, self._size())
        else:
            log.info("%s: %s", self.text, self._position(now - self._began))
        self._due = self._began + ((now - self._began) // EVERY + 1) * EVERY

    def _size(self) -> str:
        count = f", {self.total:,} {self.unit}" if self.total > 1 else ""
        return f"{count} on {self.device.type}" if self.device else count

    def _position(self, seconds: float) -> str:
        if self.total <= 1:
            return f"running for {duration(seconds)}"
        text = f"{self.done:,} of {self.total:,} {self.unit} after {duration(seconds)}"
        if not self.own:
            return text
        return f"{text}, about {duration(seconds / self.own * max(0, self.total - self.done))} left"

    def _watch(self) -> None:
        while not self._ended.wait(max(0.0, self._due - self.clock())):
            self.report()


def bar(text: str, total: int, show: bool, unit: str = "documents", device: torch.device | None = None) -> Progress:
    """The progress of a phase, for a ``with`` statement.

    Parameters
    ----------
    text
        What the phase does, on what.
    total
        Number of units; 1 for a phase that cannot be counted.
    show
        False: neither a bar nor lines.
    unit, device
        For the lines; see `LogLines`.
    """
    if not show:
        return Progress(total)
    return TerminalBar(text, total) if on_terminal(show) else LogLines(text, total, unit, device)


def on_terminal(show: bool) -> bool:
    """Whether progress is asked for and standard error is a terminal, so that a bar would be seen."""
    return show and sys.stderr.isatty()


def duration(seconds: float) -> str:
    """Seconds as text: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class Stopwatch:
    """Seconds per named phase; a phase that is entered again adds to its seconds.

    Parameters
    ----------
    device
        A GPU works on after a call has returned: a phase ends when this device is done.

    Attributes
    ----------
    seconds : name of the phase -> seconds
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of the block to the phase `name`."""
        began = time.perf_counter()
        try:
            yield
            if self.device is not None and self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
