"""Faster kernels for float16 matrices on a CPU: what fast-plaid spends its time on.

fast-plaid keeps everything in float16, on a CPU as on a GPU. A CPU without instructions for float16 has plain loops for
it, several times as slow as float32 (docs/speed.md has the figures). Inside `replaced`, four of PyTorch's kernels of
the CPU are others:

- ``aten::mm``, ``aten::bmm`` and ``aten::linalg_vector_norm.out``: operands go to float32, the result comes back
  rounded to float16. Both ways add up in float32, so values differ by one rounding at most;
- ``aten::argmax``: the place that ``max`` finds, a fifth of the time for the same result.

On a CPU with such instructions (AVX-512 FP16 or AMX FP16), and on a GPU, nothing changes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

import torch

from harness.system.device import cpu_has

_one = Lock()  # a kernel is replaced once: a second registration would shadow the first


def kind(device: torch.device) -> str:
    """The numbers in which a device multiplies matrices of float16 inside `replaced`: float16 or float32."""
    return "float16" if device.type != "cpu" or _has_float16() else "float32"


@lru_cache(maxsize=1)
def _has_float16() -> bool:
    """Whether this CPU has instructions for products of float16 numbers."""
    return cpu_has("avx512_fp16", "amx_fp16")


@contextmanager
def replaced(device: torch.device) -> Iterator[None]:
    """Inside, all threads of this process compute with the kernels of this module, where `kind` says float32.

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
            library.impl("linalg_vector_norm.out", _norm, "CPU")
            library.impl("argmax", _argmax, "CPU")
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
    left_wide, right_wide = _wider(left), _wider(right)
    return adding(torch.empty(1, dtype=left_wide.dtype), left_wide, right_wide, beta=0).to(left.dtype)


def _norm(
    vectors: torch.Tensor,
    order: int | float = 2,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
    out: torch.Tensor,
) -> torch.Tensor:
    """The norms by the kernel without ``out``, which is not replaced."""
    found = torch.linalg.vector_norm(_wider(vectors), order, dim, keepdim, dtype=dtype)
    return out.resize_(found.shape).copy_(found)


def _argmax(matrix: torch.Tensor, dim: int | None = None, keepdim: bool = False) -> torch.Tensor:
    if matrix.dtype == torch.float16 and dim is not None:
        return matrix.max(dim, keepdim).indices  # of equal ones the first, too
    return torch.argmax(matrix, dim, keepdim, out=torch.empty(0, dtype=torch.int64))  # a kernel that is not replaced


def _wider(matrix: torch.Tensor) -> torch.Tensor:
    return matrix.float() if matrix.dtype == torch.float16 else matrix
