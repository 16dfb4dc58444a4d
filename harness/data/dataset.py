"""Dataset: documents, queries and judgements, in the order of rows that decides ties."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from harness.system.files import digest


@dataclass(frozen=True)
class Dataset:
    """A corpus, the queries of one split, and their judgements.

    Attributes
    ----------
    docs : document id -> "title text", ids descending
    queries : query id -> text
    qrels : query id -> document id -> score; 0 is judged and not relevant
    other_queries : queries of the set's train split (else dev) whose texts are not evaluated: they may set mu_Q
    other_split : the split that they are from
    query_length : tokens of a query that the field uses for this set; None: the checkpoint's own
    """

    name: str
    docs: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    other_queries: dict[str, str] = field(default_factory=dict)
    other_split: str | None = None
    query_length: int | None = None

    @cached_property
    def sha256(self) -> str:
        """Of ids, texts and judgements: what a result on this data set depends on."""
        return digest([self.docs, self.queries, self.qrels])


def plain(text: str) -> str:
    """A text as it is compared with others: lower case, blanks made one."""
    return " ".join(text.lower().split())
