"""Straight-through codes: forward the evaluation's codes, backward the gradient of a written-out surrogate."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from tiny import in_memory, unit

from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding
from harness.system.errors import HarnessError
from harness.training import codes
from harness.training.codes import MuveraCodes, SmveCodes

CPU = torch.device("cpu")
LENGTHS = (3, 20, 1, 7, 12, 20, 2)
SLOPES = [None, 10.0]


@pytest.fixture
def texts(rng):
    """Token matrices [tokens, 8] of 1 to 20 tokens, centered: not of unit length."""
    made = [unit(rng, length, 8, cone=0.4) for length in LENGTHS]
    mean = np.concatenate(made).mean(axis=0)
    return [text - mean for text in made]


def padded(texts, width=None):
    """[texts, width, dim] with large numbers where there is no token, and the mask."""
    width = width or max(map(len, texts))
    tokens = np.full((len(texts), width, texts[0].shape[1]), 100, dtype=texts[0].dtype)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    mask = np.arange(width) < np.array([[len(text)] for text in texts])
    return torch.from_numpy(tokens), torch.from_numpy(mask)


def block(texts):
    return in_memory(texts).rows(0, len(texts))


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("projection", [None, 3])
@pytest.mark.parametrize(("repetitions", "bits"), [(1, 1), (2, 3), (2, 5)])
def test_muvera_codes_are_the_evaluations(texts, repetitions, bits, projection, slope):
    ours = MuveraCodes(8, repetitions, bits, projection, 5, slope)
    fde = FixedDimensionalEncoding(8, repetitions, bits, projection, 5, CPU)
    for is_query, encode in ((True, fde.queries), (False, fde.documents)):
        found = ours(*padded(texts), is_query)
        assert found.shape == (len(texts), fde.size)
        np.testing.assert_allclose(found, encode(block(texts)), atol=1e-5)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("anchors", ["gaussian", "hadamard"])
@pytest.mark.parametrize(("width", "keep", "repetitions"), [(40, 3, 1), (20, 4, 2), (4, 4, 2)])
def test_smve_codes_are_the_evaluations(texts, width, keep, repetitions, anchors, slope):
    ours = SmveCodes(8, width, keep, repetitions, anchors, 5, slope)
    encoding = SparseEncoding(8, width, keep, repetitions, anchors, 5, CPU)
    for is_query, encode in ((True, encoding.queries), (False, encoding.documents)):
        found = ours(*padded(texts), is_query)
        assert found.shape == (len(texts), encoding.size)
        np.testing.assert_allclose(found, encode(block(texts)).dense(), atol=1e-5)


def make(kind, slope, seed=5, repetitions=2):
    """Small codes of 8 dimensions."""
    if kind == "muvera":
        return MuveraCodes(8, repetitions, 3, 4, seed, slope)
    return SmveCodes(8, 30, 3, repetitions, "gaussian", seed, slope)


BOTH = pytest.mark.parametrize("kind", ["muvera", "smve"])
SIDES = pytest.mark.parametrize("is_query", [True, False])


@SIDES
@BOTH
def test_more_padding_changes_nothing(texts, kind, is_query):
    ours = make(kind, 10.0)
    np.testing.assert_allclose(ours(*padded(texts), is_query), ours(*padded(texts, 33), is_query), atol=1e-6)


@BOTH
def test_the_slope_does_not_change_a_code(texts, kind):
    hard, soft = (make(kind, slope)(*padded(texts), False) for slope in SLOPES)
    np.testing.assert_allclose(hard, soft, atol=1e-6)


@BOTH
def test_same_seed_same_codes_other_seed_other_codes(texts, kind):
    first, again, other = (make(kind, 10.0, seed)(*padded(texts), True) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=0.1)


def test_the_unit_is_the_mean_square_of_a_unit_vectors_code():
    """MUVERA without inner projection puts a vector, whole, into one bucket of each repetition."""
    assert MuveraCodes(8, 7, 3, None, 1, None).unit == pytest.approx(7, rel=1e-5)
    assert SmveCodes(8, 8, 8, 1, "rotation", 1, None).unit == pytest.approx(1, rel=1e-5)


def backward(module, texts, is_query, weights, width=None):
    """Gradient [texts, length, dim] of the sum of codes times weights."""
    tokens, mask = padded(texts, width)
    tokens.requires_grad_()
    (module(tokens, mask, is_query) * torch.from_numpy(weights).to(tokens.dtype)).sum().backward()
    return tokens.grad.numpy(), mask.numpy()


@pytest.mark.parametrize("slope", SLOPES)
@SIDES
@BOTH
def test_gradients_reach_every_token_and_no_padding(texts, rng, kind, is_query, slope):
    module = make(kind, slope)
    weights = rng.standard_normal((len(texts), 64 if kind == "muvera" else 60))
    found, mask = backward(module, texts, is_query, weights, width=25)
    assert np.isfinite(found).all()
    assert (np.abs(found[mask]).sum(axis=1) > 0).all() and (found[~mask] == 0).all()


@SIDES
@BOTH
def test_the_soft_backward_is_not_the_hard_one(texts, rng, kind, is_query):
    weights = rng.standard_normal((len(texts), 64 if kind == "muvera" else 60))
    hard, soft = (backward(make(kind, slope), texts, is_query, weights)[0] for slope in SLOPES)
    assert np.abs(hard - soft).max() > 0.1


@pytest.mark.parametrize("slope", [None, 2.0, 10.0])
@pytest.mark.parametrize("projection", [None, 2])
@SIDES
def test_muvera_gradients_are_those_of_the_reference(rng, is_query, projection, slope):
    """Finite differences of the code with its membership written out; hard: with membership held constant."""
    module = MuveraCodes(4, 2, 2, projection, 5, slope).double()
    planes = module.planes.numpy().reshape(4, 2, 2)
    projections = None if projection is None else module.projections.numpy().reshape(4, 2, projection)
    texts = [unit(rng, length, 4, cone=0.3).astype(np.float64) for length in (4, 1)]
    weights = rng.standard_normal((2, 8 * (projection or 4)))
    found, _ = backward(module, texts, is_query, weights)
    for row, text in enumerate(texts):

        def score(tokens, text=text, row=row):
            code = reference.muvera_straight_through(tokens, text, planes, projections, slope, is_query)
            return float(code @ weights[row])

        np.testing.assert_allclose(found[row, : len(text)], reference.gradient(score, text), atol=1e-7)


@pytest.mark.parametrize("slope", [None, 2.0, 10.0])
@pytest.mark.parametrize(("width", "keep"), [(12, 2), (6, 2), (3, 3)])
@SIDES
def test_smve_gradients_are_those_of_the_reference(rng, is_query, width, keep, slope):
    """As for MUVERA; the sigmoid reaches four times as many anchors as are kept."""
    module = SmveCodes(4, width, keep, 2, "gaussian", 5, slope).double()
    anchors = module.anchors.numpy().transpose(1, 0, 2)
    texts = [unit(rng, length, 4, cone=0.3).astype(np.float64) for length in (4, 1)]
    weights = rng.standard_normal((2, 2 * width))
    found, _ = backward(module, texts, is_query, weights)
    soft = slope if width > keep else None  # where all are kept there is nothing to choose
    for row, text in enumerate(texts):

        def score(tokens, text=text, row=row):
            near = min(4 * keep, width)
            code = reference.smve_straight_through(tokens, text, anchors, keep, near, soft, is_query)
            return float(code @ weights[row])

        np.testing.assert_allclose(found[row, : len(text)], reference.gradient(score, text), atol=1e-7)


def test_the_straight_through_references_are_the_plain_ones_at_their_point(rng):
    text = unit(rng, 5, 4)
    planes, projections, anchors = (rng.standard_normal((4, 2, n)) for n in (3, 2, 7))
    for is_query, name in ((True, "query"), (False, "document")):
        muvera = reference.muvera_straight_through(text, text, planes, projections, 3.0, is_query)
        np.testing.assert_allclose(muvera, getattr(reference, f"muvera_{name}")(text, planes, projections), atol=1e-12)
        smve = reference.smve_straight_through(text, text, anchors, 2, 5, 3.0, is_query)
        np.testing.assert_allclose(smve, getattr(reference, f"smve_{name}")(text, anchors, 2), atol=1e-12)


@BOTH
def test_projections_are_not_trained(texts, kind):
    module = make(kind, 10.0)
    assert not list(module.parameters()) and not module.state_dict()
    before = {name: value.clone() for name, value in module.named_buffers()}
    tokens, mask = padded(texts)
    tokens = torch.nn.Parameter(tokens)
    step = torch.optim.SGD([tokens, *module.parameters()], lr=1.0)
    module(tokens, mask, False).square().sum().backward()
    step.step()
    assert before and all(torch.equal(value, before[name]) for name, value in module.named_buffers())
    assert not any(value.requires_grad for value in module.buffers())


def test_codes_are_made_from_an_objective():
    from harness.config.entries import entry

    assert codes.make(entry("objective", "contrastive"), 8) is None
    muvera, smve = (codes.make(entry("objective", name), 8) for name in ("ste_muvera", "ste_smve"))
    assert isinstance(muvera, MuveraCodes) and muvera.slope == entry("objective", "ste_muvera")["slope"]
    assert isinstance(smve, SmveCodes) and smve.anchors.shape == (1, 8, 4096)


@pytest.mark.parametrize(
    "changed", [{"seed": None}, {"anchors": "cosine"}, {"bits": 3}, {"keep": 9}, {"keep": 0}, {"width": 0}]
)
def test_impossible_codes_are_a_sentence(changed):
    shipped = {"width": 8, "keep": 2, "repetitions": 1, "anchors": "gaussian", "seed": 1}
    objective = {"name": "ste_smve", "slope": 10.0, "codes": {**shipped, **changed}}
    with pytest.raises(HarnessError, match="makes no codes for 8 dimensions|1 <= keep <= width"):
        codes.make(objective, 8)
