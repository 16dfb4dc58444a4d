"""The device that computes: a CPU or a CUDA GPU."""

from __future__ import annotations

import torch

from harness.system.errors import HarnessError


def device(option: str) -> torch.device:
    """The device for the option ``device``; ``auto`` takes a GPU if there is one.

    Raises
    ------
    HarnessError
        If a GPU was asked for and there is none.
    """
    if option == "cuda" and not torch.cuda.is_available():
        raise HarnessError("device=cuda, but torch finds no GPU on this machine: set device=cpu, or device=auto.")
    return torch.device("cuda" if option == "cuda" or (option == "auto" and torch.cuda.is_available()) else "cpu")
