"""A method: a first stage, which finds the k best documents of each query.

    search(docs, queries, k, resources) -> SearchResult                 token vectors of both sides, centered
    search_texts(docs, queries, k, resources) -> SearchResult           or their texts, if `reads` says so

A method describes itself: the class attributes below are all that tables, figures, sweeps and the pipeline know of it.
To add one, write two files: ``harness/methods/NAME.py`` with one subclass of `Method`, and ``conf/method/NAME.yaml``
with the options that its constructor takes (docs/architecture.md has an example).
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch

from harness.indexes.index import Codes
from harness.ranking.ranks import Ranking
from harness.ranking.resources import Resources
from harness.vectors.store import StoreInMemory, TokenVectors

TOKENS, TEXTS = "tokens", "texts"
DOCUMENTS, QUERIES = "documents", "queries"


@dataclass(frozen=True)
class SearchResult:
    """What a search found, and what it cost.

    Attributes
    ----------
    ranking : the k best documents of each query, best first, ties by row
    seconds : phase -> seconds
    index_bytes : bytes of the index that the method searches (as it would be kept, where it is not)
    details : anything else worth a line in the record
    parts : such details of each part of the queries, where queries of several centerings were searched at once
    """

    ranking: Ranking
    seconds: dict[str, float]
    index_bytes: int
    details: dict[str, Any] = field(default_factory=dict)
    parts: Sequence[Mapping[str, Any]] = ()


class Method(ABC):
    """A first stage.

    Attributes
    ----------
    title : its name in tables and figures
    order : its place among the methods of a table, ascending; methods of one place are sorted by name
    reads : what it searches: ``TOKENS``, or ``TEXTS``, which no centering changes
    end_to_end : whether it ranks with MaxSim itself: it then sees the model's own vectors (no centering) and is not
        reranked, and its record has one value for all depths
    exhaustive : whether it scores every (query, document) pair with exact MaxSim, which is then the MaxSim pass itself
    draws_share : whether draws of its random numbers may have work in common; `search_draws` then gets all of them
    shardable : whether it can search a part of the documents as if it were all of them
    sublinear : whether the time of a search hardly grows with the number of documents
    symbols : option -> the letter that the method's definition has for it, where figures are short of space
    finds_nothing : why a query may get no candidate at all, and what to do; such a query counts as 0
    gives : the kind of codes that an index can keep for it (`harness.indexes.index`), which `codes` makes; "" for none
    learn : whose tokens it learns from, if it learns: ``documents``, or ``queries`` or ``pseudo_queries`` that are not
        evaluated, which it is `taught`
    """

    title: str
    order: ClassVar[int] = 100
    reads: str = TOKENS
    end_to_end: ClassVar[bool] = False
    exhaustive: ClassVar[bool] = False
    draws_share: bool = False
    shardable: ClassVar[bool] = True
    sublinear: ClassVar[bool] = False
    symbols: ClassVar[Mapping[str, str]] = {}
    finds_nothing: ClassVar[str] = ""
    gives: ClassVar[str] = ""
    learn: str = DOCUMENTS

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query, best first, ties by row."""
        raise NotImplementedError(f"{type(self).__name__} reads {self.reads}")

    @classmethod
    def search_draws(
        cls, draws: Sequence[tuple[Any, TokenVectors]], docs: TokenVectors, k: int, resources: Resources
    ) -> Iterator[SearchResult]:
        """A search for each draw of the method's random numbers: (the method with its seed, its queries)."""
        for method, queries in draws:
            yield method.search(docs, queries, k, resources)

    def search_texts(self, docs: Sequence[str], queries: Sequence[str], k: int, resources: Resources) -> SearchResult:
        """The same for a method that reads texts."""
        raise NotImplementedError(f"{type(self).__name__} reads {self.reads}")

    def warm_up(self, dim: int, resources: Resources) -> None:
        """Load the compiled functions of a search before it is timed; loading takes a second in a new process."""
        return

    def codes(self, docs: Any, queries: Any, resources: Resources) -> Codes:
        """The codes of documents and queries, made when an index asks for them; docs and queries as for a search."""
        raise NotImplementedError(f"{type(self).__name__} has no codes")

    def taught(self, queries: TokenVectors) -> Method:
        """The method with queries to learn from, as the first stage sees them."""
        raise NotImplementedError(f"{type(self).__name__} learns from no queries")

    def inputs(self, models_dir: str | None) -> dict[str, Any]:
        """What a score depends on beside the options, the texts and the token vectors: another model's files."""
        return {}

    def refuse(self, k: int) -> None:
        """Refuse a number of documents that a search with these options cannot return, with a `HarnessError`."""
        return

    def buckets(self, dim: int, device: torch.device) -> Any:
        """For `geometry`: the random planes that sort tokens into buckets, as MUVERA's encoding; None without any."""
        return None

    def anchors(self, dim: int, device: torch.device) -> Any:
        """For `geometry`: the random anchors, a few of which each token keeps, as SMVE's encoding; None without any."""
        return None


def search_little(method: Method, dim: int, resources: Resources) -> None:
    """Let a method search two texts of one token."""
    texts = StoreInMemory(np.eye(2, dim, dtype=np.float32), np.ones(2, dtype=np.int64))
    method.search(texts, texts, 1, replace(resources, show=False))
