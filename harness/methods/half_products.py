"""Products of float16 matrices on a CPU, computed in float32: what fast-plaid's build and search spend their time on.

fast-plaid keeps everything in float16, on a CPU as on a GPU. A CPU without instructions for float16 multiplies such
matrices in a plain loop, several times as slowly as float32 (docs/speed.md has the figures). Inside `in_float32`,
PyTorch's two kernels for it (``aten::mm`` and ``aten::bmm`` of the CPU) are replaced: operands go to float32, the
product comes back rounded to float16. Both ways add up in float32, so values differ by one rounding at most. On a CPU
with such instructions (AVX-512 FP16 or AMX FP16), and on a GPU, nothing changes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

import torch

from harness.system.device import cpu_has

_one = Lock()  # a kernel is replaced once: a second registration would shadow the first


def kind(device: torch.device) -> str:
    """The numbers in which a device multiplies matrices of float16 inside `in_float32`: float16 or float32."""
    return "float16" if device.type != "cpu" or _has_float16() else "float32"


@lru_cache(maxsize=1)
def _has_float16() -> bool:
    """Whether this CPU has instructions for products of float16 numbers."""
    return cpu_has("avx512_fp16", "amx_fp16")


@contextmanager
def in_float32(device: torch.device) -> Iterator[None]:
    """Inside, all threads of this process multiply float16 matrices in float32, where `kind` says so.

    Parameters
    ----------
    device
        Where the caller computes.
    """
    if kind(device) != "float32":
        yield
        return
    with _one:
        library = torch.library.Library("aten", "IMPL")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a kernel is replaced, which is meant
            library.impl("mm", _mm, "CPU")
            library.impl("bmm", _bmm, "CPU")
        try:
            yield
        finally:
            del library  # PyTorch's own kernels come back with it


def _mm(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return _product(torch.addmm, left, right)


def _bmm(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return _product(torch.baddbmm, left, right)


def _product(adding: Callable[..., torch.Tensor], left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The product by a kernel that is not replaced; beta=0 ignores what it would add."""
    wider = torch.float32 if left.dtype == torch.float16 else left.dtype
    return adding(torch.empty(1, dtype=wider), left.to(wider), right.to(wider), beta=0).to(left.dtype)
