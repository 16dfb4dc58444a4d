"""Texts of one side, as a token store is made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.config.shards import WHOLE, Shard


@dataclass(frozen=True)
class Texts:
    """What a token store is made from: queries or documents, in order.

    Attributes
    ----------
    texts : id -> text
    name : readable part of the store's name
    query_length : number of tokens per query; None: the checkpoint's own
    shard : which of the texts are encoded
    """

    texts: Mapping[str, str]
    name: str
    is_query: bool
    query_length: int | None
    shard: Shard = WHOLE

    @property
    def side(self) -> str:
        """``queries`` or ``documents``."""
        return "queries" if self.is_query else "documents"

    @property
    def part(self) -> dict[str, str]:
        """The texts of the shard: id -> text."""
        rows = self.shard.rows(len(self.texts))
        return dict(list(self.texts.items())[rows.start : rows.stop])
