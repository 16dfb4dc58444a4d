"""One exception for everything a user can put right: its text is the one sentence that the command line prints."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """Bad input or a broken environment: what was found, what was expected, what to do."""


def unknown(kind: str, name: str, known: Iterable[str]) -> HarnessError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return HarnessError(f"unknown {kind} '{name}'{hint} Known: {', '.join(names) or 'none'}.")
