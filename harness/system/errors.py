"""One exception for every problem that a user can solve; the command line prints its text, one sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_SHOWN = 100
_LONG = re.compile(r"\S{1000,}")  # longer than most paths


class HarnessError(Exception):
    """Bad input or a broken environment. The text says what was found, what was expected, and what to do.

    Control characters, which may come from a file or a word, are escaped, and very long words are cut off: the text is
    one line that is safe to print.
    """

    def __init__(self, text: str) -> None:
        printable = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
        super().__init__(_LONG.sub(lambda word: f"{word[0][:_SHOWN]}...", printable))


def unknown(kind: str, name: str, known: Iterable[str]) -> HarnessError:
    """The error for a name that is not known; it suggests the most similar one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return HarnessError(f"unknown {kind} '{name}'{hint} Known: {', '.join(names) or 'none'}.")
