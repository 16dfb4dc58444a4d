"""The device that computes, and the one place that chooses between twins: implementations for the CPU and the GPU."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

from harness.system.errors import HarnessError

Implementation = TypeVar("Implementation")


def device(option: str) -> torch.device:
    """The device that the option names; ``auto`` is CUDA where there is a GPU.

    Raises
    ------
    HarnessError
        For ``cuda`` without a GPU.
    """
    if option == "cuda" and not torch.cuda.is_available():
        raise HarnessError("device=cuda, but torch finds no GPU on this machine: set device=cpu, or device=auto.")
    return torch.device("cuda" if option == "cuda" or (option == "auto" and torch.cuda.is_available()) else "cpu")


def twin(device: torch.device, cpu: Implementation, gpu: Implementation) -> Implementation:
    """The implementation for a device, of two that do the same: modules with the same functions, or classes."""
    return gpu if device.type == "cuda" else cpu


def sent(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """An array on a device. To a GPU it goes through pinned memory: 22 GB/s on one machine, instead of 7."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def cpu_has(*instructions: str) -> bool:
    """Whether this CPU has one of these instruction sets, by PyTorch's names, such as avx512_bf16."""
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(found.get(name) for name in instructions)
