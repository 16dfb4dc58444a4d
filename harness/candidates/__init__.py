"""Candidate generation: every way to find the first k documents has one file here and one in conf/method/.

A method is a class whose constructor takes its options from conf/method/NAME.yaml and which has

    search(docs, queries, k, resources) -> Found

To add one, write the file, add a line to `METHODS`, and write conf/method/NAME.yaml (its ``name`` is the key below).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from harness import gpu
from harness.ranking import Ranking, RunningTopK
from harness.store import TokenStore


@dataclass(frozen=True)
class Resources:
    """What a search may use.

    Attributes
    ----------
    block_bytes : what one block of documents may take while it is encoded and scored; bounds the memory
    cache : folder for indexes that are kept on disk
    show : whether progress bars are shown
    """

    device: torch.device
    block_bytes: int
    cache: Path
    show: bool = False

    def top_k(self, queries: int, k: int) -> RunningTopK | gpu.RunningTopK:
        """A running top-k where the scores will be."""
        return gpu.RunningTopK(queries, k, self.device) if self.device.type == "cuda" else RunningTopK(queries, k)


@dataclass(frozen=True)
class Found:
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

    def search(self, docs: TokenStore, queries: TokenStore, k: int, resources: Resources) -> Found:
        """The k best documents of each query, best first, ties by row."""
        ...
