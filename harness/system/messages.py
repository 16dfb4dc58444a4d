"""Messages that a command gives once, although many cells have the same reason for them."""

from __future__ import annotations

import logging

_given: set[tuple[str, str]] = set()


def warn_once(log: logging.Logger, message: str, *values: object) -> None:
    """Log a warning, unless this command has already logged the same text through the same logger."""
    key = (log.name, message % values)
    if key not in _given:
        _given.add(key)
        log.warning(f"warning: {message}", *values)


def forget() -> None:
    """Begin a new command: every warning may be given again."""
    _given.clear()
