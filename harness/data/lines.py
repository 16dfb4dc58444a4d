"""Text files read line by line; whatever is wrong in one is said with the file, the line, and what to do.

Files are UTF-8, plain or gzipped. A byte order mark at the beginning, Windows line ends and blank lines do no harm.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from harness.system.errors import HarnessError
from harness.system.files import unreadable

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SHOWN = 60


def wrong(path: Path, number: int, found: str, expected: str, action: str) -> HarnessError:
    """The error for a line that cannot be used."""
    return HarnessError(f"{path}, line {number}: {found}; expected {expected}: {action}.")


def shown(value: object) -> str:
    """A value from a file in a message: in quotes, without control characters, and not too long."""
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else f"'{value}'"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def read(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1, without line ends.

    Raises
    ------
    HarnessError
        If the file cannot be opened, is a damaged gzip file, or a line is not UTF-8.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    line = line.removeprefix(_BOM)  # noqa: PLW2901
                text = _decoded(path, number, line).rstrip("\r\n")
                if text.strip():
                    yield number, text
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise HarnessError(
            f"{path} is damaged after line {number} ({' '.join(str(error).split())}), expected a whole gzip file: "
            "fetch it again."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _decoded(path: Path, number: int, line: bytes) -> str:
    if b"\0" in line or (number == 1 and line.startswith(_UTF16)):
        raise wrong(path, number, "zero bytes, as in UTF-16", "UTF-8", "convert it (iconv -f UTF-16 -t UTF-8)")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02X} at position {error.start + 1} is not UTF-8"
        raise wrong(path, number, byte, "UTF-8", "convert it (for Latin-1: iconv -f LATIN1 -t UTF-8)") from error
