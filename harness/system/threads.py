"""Work divided among threads, one per core.

BLAS and numba release Python's global lock, so plain threads suffice. Meanwhile each BLAS call uses one thread only: a
product is computed and used on one core, in that core's cache, and no result depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def map_threads(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
    """Results of `work` for each piece, in order, on as many threads as torch uses (the option ``threads``)."""
    count = torch.get_num_threads()
    with _controller().limit(limits=1, user_api="blas"):
        _touch_buffers(count)
        pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
        try:
            return list(pool.map(work, pieces))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(
                count
            )  # torch's setting belongs to one thread, but MKL's, which it sets too, to the process


def chunks(count: int, size: int) -> list[range]:
    """0..count-1 in consecutive ranges of `size`; the last may be shorter."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def tiles(first: int, count: int, size: int) -> list[range]:
    """0..count-1, the rows from `first` on of a whole, cut where a multiple of `size` of the whole's rows is."""
    cuts = [first, *range(first // size * size + size, first + count, size), first + count]
    return [range(a - first, b - first) for a, b in zip(cuts, cuts[1:], strict=False)]


def runs(offsets: Int[np.ndarray, " items_1"], size: int) -> list[range]:
    """Consecutive items in runs of about `size` (as `offsets` count it), each of at least one item."""
    found, start, count = [], 0, len(offsets) - 1
    while start < count:
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + size, side="right")) - 1)
        found.append(range(start, stop))
        start = stop
    return found


@lru_cache
def _touch_buffers(count: int) -> None:
    """Write OpenBLAS's buffers, one for each of `count` products at the same time, once per process.

    Products of fewer than 384 rows, such as MUVERA's tiles, take 3.4 times as long as they could for the life of a
    process that has not yet computed a larger one (numpy's OpenBLAS 0.3.31, AMD EPYC of the first generation, in a
    virtual machine). The likely reason: OpenBLAS prefetches beyond what it has packed into a buffer, and where those
    pages have never been written, each prefetch looks for a page in vain. This larger product takes 16 ms.
    """
    start, square = Barrier(count), np.ones((512, 512), dtype=np.float32)

    def multiply(_: int) -> None:
        start.wait()
        np.matmul(square, square)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(multiply, range(count)))


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # once, as it searches all loaded libraries


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Set torch's number of threads for a while; None: leave it."""
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
