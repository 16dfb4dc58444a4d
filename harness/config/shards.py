"""Shards: a corpus in n parts of consecutive documents, for several machines or one after the other.

A shard is a whole number of chunks of `CHUNK` documents. Everything that adds up numbers (the corpus mean, the products
of MUVERA's search) does so in tiles that divide a chunk, so that shards add up the same numbers in the same order as
the whole corpus does: the merged result is identical, to the last bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.system.errors import HarnessError

CHUNK = 1024
"""Documents that are encoded, kept and summed together; a shard begins at a multiple of it."""


@dataclass(frozen=True)
class Shard:
    """Part `number` (1 to `count`) of `count`."""

    number: int
    count: int

    @property
    def is_full(self) -> bool:
        """Whether it is all documents."""
        return self.count == 1

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return f"{self.number}/{self.count}"

    @property
    def suffix(self) -> str:
        """For the name of a folder or file."""
        return "" if self.is_full else f"-shard-{self.number}-of-{self.count}"

    @property
    def all(self) -> list[Shard]:
        """All shards, in order."""
        return [Shard(number, self.count) for number in range(1, self.count + 1)]

    def names(self, name: str) -> list[str]:
        """The names that a file of this shard has for each of the shards, in order."""
        return [name.removesuffix(self.suffix) + shard.suffix for shard in self.all]

    def rows(self, documents: int) -> range:
        """The documents of the shard."""
        chunks = -(-documents // CHUNK)
        first, last = ((self.number - 1 + i) * chunks // self.count * CHUNK for i in (0, 1))
        return range(min(first, documents), min(last, documents))


WHOLE = Shard(1, 1)


def parse(text: str | None) -> Shard:
    """``i/n``; None is the whole corpus.

    Raises
    ------
    HarnessError
        If it is not a number from 1 to n, a slash and n.
    """
    if text is None:
        return WHOLE
    found = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise HarnessError(f"shard={text}: expected i/n with i from 1 to n, such as shard=1/4.")
    return Shard(int(found[1]), int(found[2]))
