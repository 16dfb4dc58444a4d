"""Where the token vectors of a testbed come from: a model that encodes texts, or vectors that somebody gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from harness.config.shards import WHOLE, Shard
from harness.data.dataset import Dataset
from harness.vectors.store import TokenStore, TokenVectors


class TokenSource(ABC):
    """The token vectors of documents and queries, in stores on disk.

    Attributes
    ----------
    encodes : whether it encodes texts, so that its time counts and any text has token vectors
    query_length : tokens per query; None: the source's own
    remark : what a reader of any score of it must know; None: nothing
    """

    encodes: ClassVar[bool] = True
    query_length: int | None = None
    remark: str | None = None

    @property
    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """What the vectors depend on beside texts and options, with its sha256: ``weights``, or given ``vectors``."""

    @abstractmethod
    def encode(self, texts: Mapping[str, str], name: str, is_query: bool, shard: Shard = WHOLE) -> TokenStore:
        """Token vectors of texts (id -> text) or of a shard of them, in order; `name` is a part of the store's name."""

    @abstractmethod
    def part_of(self, store: TokenVectors, texts: Mapping[str, str], part: str) -> TokenVectors:
        """Token vectors of a part of each query (`harness.vectors.query_tokens`); `store`: all of `texts`."""

    @abstractmethod
    def is_encoded(self, texts: Mapping[str, str], name: str) -> bool:
        """Whether the store of all documents is complete."""

    @abstractmethod
    def help_encode(self, texts: Mapping[str, str], name: str) -> None:
        """Do a part of `encode` for all documents, beside other processes, until nothing is left to take."""

    def has(self, texts: Mapping[str, str]) -> bool:
        """Whether it has token vectors of all these queries."""
        return True

    def refuse(self, dataset: Dataset) -> None:
        """Refuse a data set that its token vectors do not belong to, with a `HarnessError`."""
        return

    def warnings(self) -> list[str]:
        """What is known to make scores doubtful before anything was read."""
        return []

    def notes(self) -> list[str]:
        """What makes scores doubtful on every data set; it may load the model."""
        return []

    def notes_on(self, docs: TokenStore, queries: TokenStore, dataset: Dataset) -> list[str]:
        """What makes scores doubtful on this data set."""
        return []
