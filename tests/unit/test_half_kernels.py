"""Kernels for float16: right values, other kinds as before, and PyTorch's own kernels afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from harness.methods import half_kernels

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_float16(monkeypatch):
    monkeypatch.setattr(half_kernels, "_has_float16", lambda: False)


@pytest.fixture
def calls(monkeypatch):
    """The kinds of numbers that the kernels of this module were called with."""
    seen = []

    def watched(kernel):
        def run(first, *others, **options):
            seen.append(first.dtype)
            return kernel(first, *others, **options)

        return run

    for name in ("_mm", "_bmm", "_norm", "_argmax"):
        monkeypatch.setattr(half_kernels, name, watched(getattr(half_kernels, name)))
    return seen


def operands(rng, dtype):
    """Matrices as PLAID multiplies them: tokens by centroids, and a few texts by one query, its transpose shared."""
    make = lambda *shape: torch.from_numpy(rng.standard_normal(shape)).to(dtype)  # noqa: E731
    return [(make(40, 96), make(70, 96).t()), (make(5, 30, 96), make(1, 8, 96).transpose(1, 2))]


def test_a_product_is_the_exact_one_rounded_to_float16(rng, calls):
    for left, right in operands(rng, torch.float16):
        exact = (left.double() @ right.double()).numpy()
        with half_kernels.replaced(CPU):
            found = (left @ right).numpy()
        assert found.dtype == np.float16
        rounding = np.spacing(np.abs(exact).astype(np.float16)).astype(float) / 2
        assert (np.abs(found - exact) <= rounding + 2e-5).all()  # the rest is float32's own rounding
    assert calls == [torch.float16] * 2


def norms(vectors, **options):
    """Norms as fast-plaid takes them: by the kernel that writes into a given array."""
    return torch.linalg.vector_norm(vectors, dim=-1, keepdim=True, out=torch.empty(0, dtype=vectors.dtype), **options)


def test_a_norm_is_the_exact_one_rounded_to_float16(rng, calls):
    vectors = torch.from_numpy(rng.standard_normal((50, 96))).half()
    exact = np.linalg.norm(vectors.double().numpy(), axis=1, keepdims=True)
    with half_kernels.replaced(CPU):
        found = norms(vectors).numpy()
    assert found.dtype == np.float16 and found.shape == (50, 1)
    assert (np.abs(found - exact) <= np.spacing(exact.astype(np.float16)).astype(float) / 2 + 2e-6).all()
    assert calls == [torch.float16]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", [{"ord": 1}, {"ord": float("inf")}, {}])
def test_norms_of_other_kinds_are_as_before(rng, dtype, options):
    vectors = torch.from_numpy(rng.standard_normal((50, 96))).to(dtype)
    expected = norms(vectors, **options)
    rounding = 1e-3 if dtype == torch.float16 else 0
    with half_kernels.replaced(CPU):
        torch.testing.assert_close(norms(vectors, **options), expected, rtol=rounding, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
@pytest.mark.parametrize("options", [{"dim": 1}, {"dim": 0, "keepdim": True}, {"dim": -1}, {}])
def test_the_place_of_the_largest_is_as_before_and_the_first_of_equal_ones(rng, calls, dtype, options):
    matrix = torch.from_numpy(rng.integers(0, 6, (40, 70))).to(dtype)
    expected = torch.argmax(matrix, **options)
    assert expected.flatten()[0] == np.argmax(matrix.numpy(), options.get("dim")).flatten()[0]
    with half_kernels.replaced(CPU):
        assert torch.equal(torch.argmax(matrix, **options), expected)
    assert calls == [dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_other_kinds_of_numbers_are_multiplied_as_before(rng, dtype):
    for left, right in operands(rng, torch.float64):
        left, right = (9 * left).to(dtype), (9 * right).to(dtype)
        expected = left @ right
        with half_kernels.replaced(CPU):
            assert torch.equal(left @ right, expected)


def test_it_holds_in_other_threads(rng, calls):
    ((left, right), _) = operands(rng, torch.float16)
    with half_kernels.replaced(CPU), ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: left @ right, range(6)))
    assert len(calls) == 6


def test_the_kernels_of_pytorch_come_back_even_after_an_error(rng, calls):
    ((left, right), _) = operands(rng, torch.float16)
    before = left @ right
    with pytest.raises(KeyError), half_kernels.replaced(CPU):
        raise KeyError
    assert torch.equal(left @ right, before) and not calls


def test_on_a_gpu_nothing_is_replaced(rng, calls):
    ((left, right), _) = operands(rng, torch.float16)
    with half_kernels.replaced(torch.device("cuda")):
        left @ right
    assert not calls


def test_a_cpu_with_instructions_for_float16_keeps_its_own_kernels(rng, calls, monkeypatch):
    monkeypatch.setattr(half_kernels, "_has_float16", lambda: True)
    ((left, right), _) = operands(rng, torch.float16)
    with half_kernels.replaced(CPU):
        assert left @ right is not None and calls == []
    assert half_kernels.kind(CPU) == half_kernels.kind(torch.device("cuda")) == "float16"
