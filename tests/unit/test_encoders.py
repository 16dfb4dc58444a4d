"""The public encoders give the codes of the harness's own methods, and those of the definitions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import reference
import torch
from tiny import in_memory

import harness
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding
from harness.system.errors import HarnessError

CPU = torch.device("cpu")


@pytest.fixture
def block(ragged):
    """All texts, as the methods read them."""
    return in_memory(ragged).rows(0, len(ragged))


@pytest.mark.parametrize("is_query", [False, True])
def test_muvera_is_that_of_the_harness_and_of_the_definition(ragged, block, is_query):
    own = FixedDimensionalEncoding(8, 3, 2, 4, 7, CPU)
    muvera = harness.Muvera(repetitions=3, bits=2, projection=4, seed=7).fit(ragged)
    codes = muvera.encode(ragged, is_query)
    expected = own.queries(block) if is_query else own.documents(block)
    np.testing.assert_array_equal(codes, expected.numpy())
    encode = reference.muvera_query if is_query else reference.muvera_document
    planes, projections = own.planes.numpy().reshape(8, 3, 2), own.projections.numpy().reshape(8, 3, 4)
    for text, code in zip(ragged, codes, strict=True):
        if len(text):
            np.testing.assert_allclose(code, encode(text, planes, projections), atol=1e-5)
    scores = muvera.score(codes[:2], codes)
    assert scores.shape == (2, len(ragged))
    assert scores[1, 3] == pytest.approx(reference.dot(codes[1], codes[3]), rel=1e-4)


@pytest.mark.parametrize("is_query", [False, True])
def test_smve_is_that_of_the_harness_and_of_the_definition(ragged, block, is_query):
    own = SparseEncoding(8, 40, 3, 1, "gaussian", 7, CPU)
    smve = harness.Smve(width=40, keep=3, seed=7).fit(ragged)
    codes = smve.encode(ragged, is_query)
    expected = own.queries(block) if is_query else own.documents(block)
    np.testing.assert_array_equal(codes.toarray(), expected.dense())
    encode, anchors = (reference.smve_query if is_query else reference.smve_document), own.sets[0].matrix
    for row, text in enumerate(ragged):
        if len(text):
            np.testing.assert_allclose(codes[row].toarray()[0], encode(text, anchors[:, None], 3), atol=1e-5)
    dense = codes.toarray()
    np.testing.assert_allclose(smve.score(codes[:2], codes), dense[:2] @ dense.T, rtol=1e-5, atol=1e-5)


def test_centering_is_that_of_the_definition(ragged, query_texts):
    mu_d, mu_q = reference.token_mean(ragged), reference.token_mean(query_texts)
    own = harness.Centering("own").fit(ragged, query_texts)
    for text, found in zip(ragged, own.encode(ragged), strict=True):
        np.testing.assert_allclose(found, reference.center(text, mu_d), atol=1e-6)
    for text, found in zip(query_texts, own.encode(query_texts, is_query=True), strict=True):
        np.testing.assert_allclose(found, reference.center(text, mu_q), atol=1e-6)


def test_what_cannot_be_done_is_a_sentence(ragged):
    with pytest.raises(HarnessError, match=r"Muvera is not fitted: call fit\(documents\) first"):
        harness.Muvera().encode(ragged)
    with pytest.raises(HarnessError, match="dimension 4, expected 8 as in fit"):
        harness.Muvera(1, 1, None).fit(ragged).encode([np.ones((2, 4), np.float32)])
    with pytest.raises(HarnessError, match="center 'own' subtracts the mean of queries"):
        harness.Centering("own").fit(ragged)
    with pytest.raises(HarnessError, match="unknown centering 'both': expected one of none, corpus"):
        harness.Centering("both")
    with pytest.raises(HarnessError, match=r"text 1 have shape \[2\], expected \[tokens, 8\]"):
        harness.Muvera().fit(ragged).encode([ragged[0], np.ones(2)])
    with pytest.raises(HarnessError, match="expected 1 <= keep <= width"):
        harness.Smve(width=2, keep=3)


def test_importing_the_harness_imports_nothing_slow():
    program = "import harness, sys; print(sorted({'torch', 'numpy', 'pandas', 'hydra', 'numba'} & {*sys.modules}))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        _ = harness.evalute


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("encoder", [harness.Muvera(), harness.Smve(width=256, keep=8, anchors="hadamard")])
def test_numbers_that_are_not_finite_are_refused(ragged, encoder, number):
    encoder.fit(ragged)
    odd = [ragged[0], ragged[1].copy()]
    odd[1][0, 3] = number
    with pytest.raises(HarnessError, match="of text 1 have NaN or infinity"):
        encoder.encode(odd, False)
