"""What is refused in a JSON file that somebody else may have written: odd numbers, deep nesting, unsafe names."""

from __future__ import annotations

import json
from typing import Any

from harness.config.names import safe_name
from harness.system.errors import HarnessError

_MOST_DIGITS = 20  # of a whole number: those of 64 bits, with a sign


def parsed(text: str) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        If the text is not JSON, and also for NaN and infinity (which are not JSON), for whole numbers of more than 64
        bits, and for values nested more deeply than Python can read.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_constant(text: str) -> None:
    raise ValueError(f"the number {text}")


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def check_name(what: str, name: Any) -> None:
    """Raise a ValueError for a name that no cell can have."""
    try:
        safe_name(what, name)
    except HarnessError as error:
        raise ValueError(f"{what} is {ascii(name)[:40]}, which is no file name") from error
