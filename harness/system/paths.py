"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path


def user_path(text: str | Path) -> Path:
    """A path as a user writes it: ``~`` and ``~name`` are home folders, unless there is a file of that very name."""
    path = Path(text)
    if not str(text).startswith("~") or path.exists():
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # no such user
        return path
