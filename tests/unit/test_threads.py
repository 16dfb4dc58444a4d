"""Work divided among threads."""

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from harness.system import threads


def blas_threads():
    """The threads of numpy's BLAS: other packages bring libraries of their own."""
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {library["num_threads"] for library in libraries if "numpy" in library["filepath"]}


@pytest.mark.parametrize("count", [1, 3])
def test_results_are_in_order_and_each_product_has_one_thread(count):
    with threads.torch_threads(count):
        before = blas_threads()
        found = threads.map_threads(lambda piece: (piece, torch.get_num_threads(), blas_threads()), range(20))
        assert found == [(piece, 1, {1}) for piece in range(20)]
        assert torch.get_num_threads() == count and blas_threads() == before


def test_an_error_of_a_piece_reaches_the_caller_and_threads_are_as_before():
    def fail(piece):
        raise ValueError(f"piece {piece}")

    with threads.torch_threads(2):
        with pytest.raises(ValueError, match="piece 0"):
            threads.map_threads(fail, range(3))
        assert torch.get_num_threads() == 2


def test_openblas_is_brought_out_of_its_slow_state_once_and_by_as_many_products_at_once(monkeypatch):
    products, product = [], np.matmul

    def counted(*of):
        products.append(threading.get_ident())
        return product(*of)

    threads._touch_buffers.cache_clear()
    monkeypatch.setattr(threads.np, "matmul", counted)
    with threads.torch_threads(3):
        threads.map_threads(str, range(2))
        assert len(set(products)) == 3  # each has a thread of its own, as all of them wait for the last
        threads.map_threads(str, range(2))
        assert len(products) == 3


def test_tiles_are_those_of_the_whole_and_the_rest_of_one():
    assert threads.tiles(0, 600, 256) == [range(256), range(256, 512), range(512, 600)]
    assert threads.tiles(250, 10, 256) == [range(6), range(6, 10)]
    assert threads.tiles(256, 5, 256) == [range(5)] and threads.tiles(7, 3, 256) == [range(3)]
