"""The fast kernels against the references, where it is hard: ragged, empty, one token, ties, and wrong guesses."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import reference
import torch
from tiny import unit

from harness.kernels import hadamard
from harness.kernels.anchors import GROUPS
from harness.kernels.keys import keep_largest
from harness.methods import smve_anchors
from harness.methods.smve import SparseEncoding
from harness.methods.smve_anchors import DenseAnchors
from harness.methods.smve_codes import InvertedIndex

CPU = torch.device("cpu")


@pytest.mark.parametrize("count", [1, 2, 7, 400])
def test_keep_largest_with_ties(rng, count):
    for k in {1, count // 2 or 1, count}:
        values = rng.integers(0, 9, count)
        kept = values.copy()
        keep_largest(kept, count, k)
        assert sorted(kept[:k]) == sorted(values)[count - k :] and kept[k - 1] == sorted(values)[count - k]
        assert sorted(kept) == sorted(values)


def hard_tokens(rng, dim):
    """Unit tokens, a zero token, tiny and large ones, and the same one twice."""
    tokens = unit(rng, 40, dim)
    tokens[1] = 0
    tokens[2] *= 1e-6
    tokens[3] *= 50
    tokens[5] = tokens[6]
    return tokens


def check(found, tokens, matrix, k):
    """The kept anchors are those of the reference, ties by anchor number, and so are the projections."""
    chosen, values = found
    for token, some, projections in zip(tokens, chosen, values, strict=True):
        wanted = reference.smve_kept(token, matrix[:, None, :], 0, k)
        assert dict(zip(some.tolist(), projections.tolist(), strict=True)) == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("in_bfloat16", [False, True])
@pytest.mark.parametrize(("width", "k"), [(5, 5), (GROUPS, 3), (300, 8), (300, 200), (2 * 32 * GROUPS + 77, 32)])
def test_dense_anchors_keep_what_the_reference_keeps(rng, width, k, in_bfloat16):
    dim = 12
    matrix = unit(rng, width, dim).T.copy()
    matrix[:, 1] = matrix[:, 0]  # equal projections
    tokens = hard_tokens(rng, dim)[: 40 if width < 1000 else 8]
    check(DenseAnchors(matrix, in_bfloat16).largest(tokens, k), tokens, matrix, k)


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_anchors_that_are_nearly_equal_overflow_and_are_still_right(rng, in_bfloat16):
    """Every projection lies within the error of every other one: all of them survive."""
    matrix = unit(rng, 6000, 8, cone=300.0).T.copy()
    tokens = unit(rng, 5, 8, cone=300.0)
    chosen, values = DenseAnchors(matrix, in_bfloat16).largest(tokens, 4)
    exact = tokens.astype(np.float64) @ matrix
    np.testing.assert_allclose(np.sort(values, axis=1), np.sort(exact, axis=1)[:, -4:], rtol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(exact, chosen.astype(np.int64), axis=1), values, rtol=1e-6)


def test_precision_of_the_product_does_not_change_the_result(rng):
    matrix, tokens = smve_anchors.gaussian(96, 9000, rng).matrix, unit(rng, 300, 96, cone=1.0)
    (a, b), (c, d) = (DenseAnchors(matrix, narrow).largest(tokens, 16) for narrow in (False, True))
    np.testing.assert_array_equal(np.sort(a, axis=1), np.sort(c, axis=1))
    np.testing.assert_array_equal(np.sort(b, axis=1), np.sort(d, axis=1))


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 64, 128])
def test_the_transform_is_the_hadamard_matrix(rng, size):
    matrix = np.array([[(-1) ** bin(a & i).count("1") for i in range(size)] for a in range(size)])
    values = rng.standard_normal((size, hadamard.LANES)).astype(np.float32)
    flat = values.reshape(-1).copy()
    hadamard.transform(flat)
    np.testing.assert_allclose(flat.reshape(size, -1), matrix @ values, atol=1e-4)


def test_hadamard_anchors_end_with_an_error_where_no_projection_is_a_number(rng):
    tokens = unit(rng, 40, 12)
    tokens[7, 3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        smve_anchors.structured(12, 256, rng).largest(tokens, 8)


@pytest.mark.parametrize(("dim", "width", "k"), [(8, 8, 8), (12, 40, 3), (12, 2000, 32), (5, 3, 1), (1, 4, 2)])
def test_hadamard_anchors_keep_what_their_matrix_says(rng, dim, width, k):
    made = smve_anchors.structured(dim, width, rng)
    tokens = hard_tokens(rng, dim) if dim > 1 else unit(rng, 40, 1)
    chosen, values = made.largest(tokens, k)
    exact = tokens.astype(np.float64) @ made.matrix
    assert all(len(set(some)) == k for some in chosen.tolist())
    if dim > 1:  # of equal projections, as all of a zero token are, the lower anchors are kept
        assert sorted(chosen[1].tolist()) == list(range(k))
    np.testing.assert_allclose(np.take_along_axis(exact, chosen.astype(np.int64), axis=1), values, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(np.sort(values, axis=1), np.sort(exact, axis=1)[:, -k:], atol=1e-4, rtol=1e-4)


def test_a_guess_that_is_too_high_is_made_good(rng):
    made, tokens = smve_anchors.structured(16, 256, rng), unit(rng, 3, 16)
    turned = hadamard.turn(tokens, made.rotation)
    results = []
    for guess in (-np.inf, 0.0, np.inf, np.nan):
        chosen, values = np.empty((3, 5), np.int32), np.empty((3, 5), np.float32)
        floors = np.full(hadamard.LANES, guess, np.float32)
        hadamard.largest(turned, made.signs, 256, 5, floors, np.float32(0.25), chosen, values)
        results.append((np.sort(chosen, axis=1).tolist(), np.sort(values, axis=1).tolist()))
    assert all(result == results[0] for result in results)


def test_sparse_products_are_the_dense_ones(make_store, ragged, query_texts):
    encoding = SparseEncoding(8, 40, 3, 2, "gaussian", 5, CPU)
    docs, queries = (make_store(texts).rows(0, len(texts)) for texts in (ragged, query_texts))
    documents, asked = encoding.documents(docs), encoding.queries(queries)
    np.testing.assert_allclose(InvertedIndex(documents).scores(asked), asked.dense() @ documents.dense().T, atol=1e-5)


COUNTED = """
import sys
import tempfile
from pathlib import Path
import numpy as np
import torch
from numba.core.dispatcher import Dispatcher
from harness.methods.muvera import Muvera
from harness.methods.smve import Smve
from harness.ranking.resources import Resources
from harness.vectors.store import StoreInMemory

def compiled():
    modules = [module for name, module in sys.modules.items() if name.startswith("harness.")]
    kernels = {found for module in modules for found in vars(module).values() if isinstance(found, Dispatcher)}
    return sum(len(kernel.signatures) for kernel in kernels)

resources = Resources(torch.device("cpu"), 1 << 26, Path(tempfile.gettempdir()))
tokens = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
texts = StoreInMemory(tokens, np.full(60, 5))
for method in (Muvera(2, 2, 4, 1), Smve(4096, 8, 2, "gaussian", 1), Smve(4096, 8, 1, "hadamard", 1)):
    method.warm_up(16, resources)
    warm = compiled()
    method.search(texts, texts, 10, resources)
    print(warm, compiled())
"""


def test_a_search_after_the_warm_up_compiles_nothing():
    made = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True)
    counts = [line.split() for line in made.stdout.splitlines()]
    assert [warm for warm, _ in counts] == [after for _, after in counts] and int(counts[0][0]) > 0
    assert len({warm for warm, _ in counts}) == 3  # each method has kernels of its own
