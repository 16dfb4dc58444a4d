"""Dataset: documents, queries and judgements. The order of the documents decides ties."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int

from harness.system.files import digest


@dataclass(frozen=True)
class Dataset:
    """A corpus, the queries of one split, and their judgements.

    Attributes
    ----------
    docs : document id -> "title text", ids descending
    queries : query id -> text
    qrels : query id -> document id -> score; 0 is judged and not relevant
    other_queries : queries of the train split (or else dev) that are not evaluated; mu_Q may be their mean
    other_split : the split that `other_queries` come from; None: there is none
    query_length : customary number of tokens per query for this data set; None: the checkpoint's own
    keep_self_matches : whether a query may find the document that has its own id
    notes : what a reader of a score on this data set must know, a line for each
    """

    name: str
    docs: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    other_queries: dict[str, str] = field(default_factory=dict)
    other_split: str | None = None
    query_length: int | None = None
    keep_self_matches: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def self_rows(self) -> Int[np.ndarray, " queries"]:
        """The row of the document that each query may not find, as it has its id; -1: none."""
        if self.keep_self_matches:
            return np.full(len(self.queries), -1)
        rows = {document: row for row, document in enumerate(self.docs)}
        return np.array([rows.get(query, -1) for query in self.queries], dtype=np.int64)

    @cached_property
    def sha256(self) -> str:
        """sha256 of ids, texts and judgements, and of kept self matches: all that a result depends on."""
        kept = ["self matches are kept"] if self.keep_self_matches else []
        return digest([self.docs, self.queries, self.qrels, *kept])


def plain(text: str) -> str:
    """The text in lower case with single blanks, to be compared with others."""
    return " ".join(text.lower().split())
