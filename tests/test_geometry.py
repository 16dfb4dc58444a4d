"""Geometry against numpy, and on sets whose geometry is known."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from conftest import unit

from harness import geometry
from harness.center import fit, token_mean
from harness.geometry import Moments
from harness.store import StoreInMemory


def store(tokens, lengths=None):
    tokens = tokens.astype(np.float32)
    return StoreInMemory(tokens, np.array([len(tokens)] if lengths is None else lengths))


def measures_of(values):
    """From the eigenvalues, as defined."""
    shares = values / values.sum()
    return {
        "stable_rank": values.sum() / values.max(),
        "participation_ratio": values.sum() ** 2 / (values**2).sum(),
        "effective_rank": np.exp(-sum(share * np.log(share) for share in shares if share > 0)),
        "top_share": shares.max(),
    }


def test_moments_equal_numpys(make_store, ragged):
    tokens = np.concatenate(ragged).astype(np.float64)
    found = Moments.of(make_store(ragged))
    assert found.n == len(tokens)
    np.testing.assert_allclose(found.total, tokens.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.outer, tokens.T @ tokens, rtol=1e-10)


@pytest.mark.parametrize("tokens", [2, 5, 60])
def test_measures_equal_numpys(rng, tokens):
    """Raw: eigenvalues of the second moment; centered: of the covariance."""
    texts = unit(rng, tokens, 8, cone=0.7)
    found = Moments.of(store(texts))
    exact = texts.astype(np.float64)
    raw = np.linalg.svd(exact, compute_uv=False) ** 2
    centered = np.linalg.svd(exact - exact.mean(axis=0), compute_uv=False) ** 2
    assert found.measures(centered=False) == pytest.approx(measures_of(raw), rel=1e-9)
    assert found.measures(centered=True) == pytest.approx(measures_of(centered), rel=1e-9)


def test_mean_pairwise_cosine_is_over_all_pairs(rng):
    texts = unit(rng, 25, 8, cone=0.5)
    assert Moments.of(store(texts)).mean_pairwise_cosine == pytest.approx(
        reference.mean_pairwise_cosine(texts), abs=1e-6
    )


def test_cosines_of_centered_vectors_are_of_their_directions(rng):
    docs = store(unit(rng, 25, 8, cone=0.5))
    centered = fit("corpus", token_mean(docs), None, renormalize=False).apply_documents(docs)
    directions = reference.center(docs[0], reference.token_mean([docs[0]]), renormalize=True)
    found = Moments.of(centered)
    assert found.mean_pairwise_cosine == pytest.approx(reference.mean_pairwise_cosine(directions), abs=1e-6)
    np.testing.assert_allclose(found.total, 0, atol=1e-5)
    assert found.measures(centered=False) == pytest.approx(Moments.of(docs).measures(centered=True), rel=1e-5)


def test_length_does_not_change_a_cosine(rng):
    texts = unit(rng, 25, 8, cone=0.5)
    longer = Moments.of(store(texts * rng.uniform(0.5, 3, (25, 1))))
    assert longer.mean_pairwise_cosine == pytest.approx(Moments.of(store(texts)).mean_pairwise_cosine, abs=1e-6)


def test_a_zero_vector_has_no_cosine_even_with_itself(rng):
    texts = np.concatenate([unit(rng, 9, 8, cone=0.5), np.zeros((2, 8), np.float32)])
    wanted = reference.mean_pairwise_cosine(texts)
    assert Moments.of(store(texts)).mean_pairwise_cosine == pytest.approx(wanted, abs=1e-6)


def test_isotropic_vectors_have_every_dimension(rng):
    """20,000 directions on the sphere: all eigenvalues near 1/16, up to the noise of sampling."""
    found = Moments.of(store(unit(rng, 20_000, 16)))
    measured = found.measures(centered=True)
    assert abs(found.mean_pairwise_cosine) < 1e-3
    assert 14.5 < measured["stable_rank"] <= 16 and measured["top_share"] == pytest.approx(1 / 16, rel=0.1)
    assert 15.9 < measured["participation_ratio"] <= measured["effective_rank"] <= 16


def test_one_direction_is_rank_one(rng):
    direction = unit(rng, 1, 8)
    found = Moments.of(store(np.concatenate([direction] * 6 + [-direction] * 3)))
    assert found.measures(centered=False) == pytest.approx(dict.fromkeys(measures_of(np.ones(1)), 1.0), rel=1e-5)
    assert found.measures(centered=True) == pytest.approx(found.measures(centered=False), rel=1e-5)
    assert found.mean_pairwise_cosine == pytest.approx((6 * 5 + 3 * 2 - 2 * 6 * 3) / (9 * 8), abs=1e-6)


@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.95])
def test_a_planted_cone(cosine):
    """A common axis and +- each other axis: the rest sums to zero; n = 14, dim = 8."""
    rest = np.concatenate([np.eye(8)[1:], -np.eye(8)[1:]]) * np.sqrt(1 - cosine)
    found = Moments.of(store(rest + np.sqrt(cosine) * np.eye(8)[:1]))
    assert found.mean_pairwise_cosine == pytest.approx((14 * cosine - 1) / 13, abs=1e-6)
    raw = {"top_share": max(cosine, (1 - cosine) / 7), "stable_rank": 1 / max(cosine, (1 - cosine) / 7)}
    measured = found.measures(centered=False)
    assert {name: measured[name] for name in raw} == pytest.approx(raw, rel=1e-5)
    for name in ("stable_rank", "participation_ratio", "effective_rank"):
        assert found.measures(centered=True)[name] == pytest.approx(7, rel=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_chunks_and_rows_do_not_matter(make_store, ragged, monkeypatch, chunk):
    whole = Moments.of(store(np.concatenate(ragged)))
    monkeypatch.setattr(geometry, "CHUNK", chunk)
    found = Moments.of(make_store(ragged))
    assert found.n == whole.n
    assert found.mean_pairwise_cosine == pytest.approx(whole.mean_pairwise_cosine, rel=1e-12)
    for centered in (True, False):
        assert found.measures(centered) == pytest.approx(whole.measures(centered), rel=1e-9)
