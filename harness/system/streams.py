"""Standard output and standard error that are closed, full, or cannot show a letter."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TextIO

from harness.system.errors import HarnessError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_DENIED = (errno.EROFS,)


def prepare() -> None:
    """Let both streams replace letters that their encoding lacks; a closed standard error shows nothing.

    Raises
    ------
    HarnessError
        If standard output is closed: a command would do its work for nothing.
    """
    if sys.stderr is None:  # type: ignore[redundant-expr]  # None if the process began with it closed
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    if sys.stdout is None:  # type: ignore[redundant-expr]
        raise HarnessError("standard output is closed, expected a place for the result: write it to a file (> FILE).")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a file whose position cannot be told stays as it is
                stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")


def say(text: str) -> None:
    """Write to standard error; if that cannot be written either, the exit code says that something is wrong."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)


def unwritable(error: OSError) -> HarnessError | None:
    """The error for a file, or a standard output, that cannot be written, such as one on a full disk; else None."""
    where = "standard output" if error.filename is None else str(error.filename)
    if error.errno not in (*_FULL, *(_DENIED if error.filename is not None else ())):
        return None
    return HarnessError(f"cannot write to {where} ({error.strerror}): free some space, or write elsewhere.")


def silence(stream: TextIO) -> None:
    """Send the rest of a stream nowhere.

    Python writes what is still in the buffer when the process ends; if that fails again, the exit code is 120.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
