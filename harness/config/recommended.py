"""`center=recommended`: for each method the best centering that is known without training.

It stands for another entry of conf/center with some of its options, so a record has that centering's name, and never
this one. docs/definitions.md says by which rule it was chosen.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from harness.config.entries import entry
from harness.config.names import variant

NAME = "recommended"


def options(method: str, of_vectors: bool = False) -> dict[str, Any]:
    """The options of the centering that is recommended for a method, or for a variant of one.

    Parameters
    ----------
    of_vectors
        Whether the token vectors are given (``vectors=FOLDER``), so that no pseudo-query can be encoded.
    """
    known = entry("center", NAME)
    best = {**known["of"], **(known["of_vectors"] if of_vectors else {})}
    chosen = best.get(method.split("+")[0], {"name": "corpus"})
    return {**entry("center", chosen["name"]), **chosen}


@cache
def name(method: str, of_vectors: bool = False) -> str:
    """The name that this centering has in records; kept, as a table asks for it row by row."""
    return variant("center", options(method, of_vectors))
