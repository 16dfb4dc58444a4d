"""Resources: the device, memory and cache folder that a search may use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harness.ranking import topk, topk_gpu
from harness.system.device import twin


@dataclass(frozen=True)
class Resources:
    """The device, memory and cache folder that a search may use.

    Attributes
    ----------
    device : the device that encodes and scores
    block_bytes : memory that one block of documents may take while it is encoded and scored
    cache : folder for indexes that are kept on disk
    documents : a name for the documents' codes, made of all that they depend on, for an index that is kept
    show : whether progress bars are shown
    models_dir : folder with local copies of hub models, for a method that has a model of its own
    """

    device: torch.device
    block_bytes: int
    cache: Path
    show: bool = False
    models_dir: str | None = None
    documents: str = "documents"

    def top_k(self, queries: int, k: int) -> topk.RunningTopK | topk_gpu.RunningTopK:
        """A running top-k on the device that computes the scores."""
        implementation: Any = twin(self.device, topk.RunningTopK, partial(topk_gpu.RunningTopK, device=self.device))
        return implementation(queries, k)
