"""Candidate generation: every way to find the first k documents has one file here and one in conf/method/.

A method is a class whose constructor takes its options from conf/method/NAME.yaml and which has

    search(docs, queries, k, resources) -> SearchResult

To add one, write the file, add a line to `METHODS`, and write conf/method/NAME.yaml (its ``name`` is the key below).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from harness.ranking.ranks import Ranking
from harness.ranking.resources import Resources
from harness.vectors.store import TokenStore


@dataclass(frozen=True)
class SearchResult:
    """What a search found, and what it cost.

    Attributes
    ----------
    seconds : phase -> seconds
    index_bytes : bytes of the index that the method searches (as it would be kept, where it is not)
    details : anything else worth a line in the record
    """

    ranking: Ranking
    seconds: dict[str, float]
    index_bytes: int
    details: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Method(Protocol):
    """A way to find candidates."""

    def search(self, docs: TokenStore, queries: TokenStore, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query, best first, ties by row."""
        ...
