"""The queries whose mean token vector is mu_Q."""

from __future__ import annotations

from dataclasses import dataclass

from harness.system.files import digest


@dataclass(frozen=True)
class QueryMean:
    """The queries that mu_Q is the mean of.

    Attributes
    ----------
    source : where they are from, in words
    """

    source: str
    texts: dict[str, str]

    @property
    def sha256(self) -> str:
        """Of the texts and their order."""
        return digest(list(self.texts.items()))
