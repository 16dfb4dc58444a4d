"""Pieces of work spread over threads, each on one core.

BLAS and numba let go of Python's lock, so that plain threads suffice. While they run, BLAS keeps to one thread in each:
a product is made and used up on one core, in that core's cache, and no result depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def map_threads(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
    """`work` of each piece, in order, on as many threads as torch has (the option ``threads``)."""
    count = torch.get_num_threads()
    with _controller().limit(limits=1, user_api="blas"):
        pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
        try:
            return list(pool.map(work, pieces))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(count)  # torch's setting is one thread's, MKL's below it is everybody's


def chunks(count: int, size: int) -> list[range]:
    """0..count-1 in consecutive ranges of `size`; the last may be shorter."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries: once
