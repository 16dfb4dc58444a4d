"""An end for what might have none."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_longer_than(seconds: int, error: type[BaseException]) -> Iterator[None]:
    """Raise `error` in the block if it has not ended within some seconds."""

    def stop(*_: object) -> None:
        raise error(f"no end within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
