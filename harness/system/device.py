"""The device that computes."""

from __future__ import annotations

import torch

from harness.system.errors import HarnessError


def device(option: str) -> torch.device:
    """``auto``: CUDA where there is one."""
    if option == "cuda" and not torch.cuda.is_available():
        raise HarnessError("device=cuda, but torch sees no GPU here: set device=cpu, or device=auto.")
    return torch.device("cuda" if option == "cuda" or (option == "auto" and torch.cuda.is_available()) else "cpu")
