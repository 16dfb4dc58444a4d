"""Resources: what a search may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from harness.ranking import topk_gpu
from harness.ranking.topk import RunningTopK


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

    def top_k(self, queries: int, k: int) -> RunningTopK | topk_gpu.RunningTopK:
        """A running top-k where the scores will be."""
        return topk_gpu.RunningTopK(queries, k, self.device) if self.device.type == "cuda" else RunningTopK(queries, k)
