"""The seeds of a method's independent draws: of random projections, of anchors, of clusters.

method.seeds=null                     one draw, with method.seed
method.seeds=10                       ten draws, with method.seed and the nine numbers after it
method.seeds=[1,7,30]                 these
method.seeds={muvera: 10, smve: 5}    for a sweep: what each of these methods takes; all others take one draw
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 1000
"""Draws of one cell."""
BELOW = 2**32
"""Seeds are smaller, as numpy's older random numbers need it, which fast-plaid draws."""
EXPECTED = (
    f"a number from 1 to {MOST}, a list of different seeds from 0 to {BELOW - 1}, one of both for each method that is "
    "named, such as {muvera: 10, smve: [1,2]}, or null"
)
Seeds = tuple[int | None, ...]
"""The seed of each draw; (None,) for a method without random numbers."""


def chosen(name: str, seed: int | None, asked: Any) -> Seeds:
    """The seeds of a method's draws, ascending.

    Parameters
    ----------
    seed
        The method's own; None for one without random numbers, which has a single result.
    asked
        The option ``method.seeds`` (see above).
    """
    if isinstance(asked, Mapping):
        asked = asked.get(name)
    if seed is None or asked is None:
        return (seed,)
    return tuple(range(seed, seed + asked)) if isinstance(asked, int) else tuple(sorted(asked))


def written(seed: int | None, seeds: Seeds) -> Any:
    """The value of ``method.seeds`` that gives some seeds: their number, or the list of them."""
    return len(seeds) if seed is not None and [*seeds] == [*range(seed, seed + len(seeds))] else [*seeds]
