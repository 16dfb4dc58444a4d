"""Geometry against numpy, and on sets whose geometry is known."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from tiny import unit

from harness.geometry import moments
from harness.geometry.moments import Moments, spaces
from harness.vectors.centering import fit, token_mean
from harness.vectors.store import StoreInMemory


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


def test_a_dead_axis_has_one_sign_for_nearly_all_tokens(rng):
    tokens = rng.normal(size=(400, 4))
    tokens[:, 0] += 3  # three standard deviations from 0
    tokens[:, 1] -= 1.5
    tokens[:, 3] = 0.5  # the same for all
    assert Moments.of_tokens(tokens).dead_axes == 0.5
    assert Moments.of_tokens(tokens - tokens.mean(axis=0)).dead_axes == 0


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
    monkeypatch.setattr(moments, "CHUNK", chunk)
    found = Moments.of(make_store(ragged))
    assert found.n == whole.n
    assert found.mean_pairwise_cosine == pytest.approx(whole.mean_pairwise_cosine, rel=1e-12)
    for centered in (True, False):
        assert found.measures(centered) == pytest.approx(whole.measures(centered), rel=1e-9)


def within(texts, mean=None):
    """Means over some texts in memory."""
    return spaces(store(np.concatenate(texts), [len(text) for text in texts]), [mean])[0].within


def centered_on(store, mean):
    """The store as a centering reads it."""
    return store if mean is None else store.map(lambda tokens, _: tokens - mean)


@pytest.fixture
def awkward(ragged):
    """(texts, means): beside the ragged texts, some that lose one, two or all of their tokens to the second mean."""
    token, other, another = ragged[2][0], ragged[0][0], ragged[1][0]
    lost = [np.stack([token] * 3), np.stack([token, other]), np.stack([other, token, token, another])]
    return [*ragged, *lost], [None, token, np.linspace(-0.5, 0.5, 8, dtype=np.float32)]


def test_within_texts_equals_the_reference(make_store, awkward):
    texts, means = awkward
    for found, mean in zip(spaces(make_store(texts), means), means, strict=True):
        wanted = {**reference.spread_within(texts, mean), "dim": 8}
        assert found.within == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_texts_without_two_directions_do_not_count(awkward):
    texts, means = awkward
    empty_or_one = sum(len(text) < 2 for text in texts)
    assert within(texts)["n"] == len(texts) - empty_or_one
    assert within(texts, means[1])["n"] == len(texts) - empty_or_one - 2


def test_over_the_corpus_each_mean_gives_the_moments_of_the_centered_store(make_store, awkward):
    texts, means = awkward
    made = make_store(texts)
    for found, mean in zip(spaces(made, means), means, strict=True):
        wanted = Moments.of(centered_on(made, mean))
        np.testing.assert_allclose(found.moments.outer, wanted.outer, rtol=1e-12, atol=1e-12)
        assert (found.moments.n, found.moments.nonzero) == (wanted.n, wanted.nonzero)
        alone = {"mean_pairwise_cosine": wanted.mean_pairwise_cosine, **wanted.measures()}
        assert found.measures == pytest.approx({**alone, "n": sum(map(len, texts)), "dim": 8}, rel=1e-12)


def test_over_the_corpus_equals_the_reference(make_store, awkward):
    texts, means = awkward
    for found, mean in zip(spaces(make_store(texts), means), means, strict=True):
        tokens = np.concatenate([text if mean is None else reference.center(text, mean) for text in texts])
        wanted = {**reference.spread(tokens), "n": len(tokens), "dim": 8}
        assert found.measures == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("means", [1, 2, 5])
def test_a_store_is_read_once_for_all_means(ragged, means):
    class Counted(StoreInMemory):
        def _read(self, first, last):
            reads.extend(range(first, last))
            return super()._read(first, last)

    reads: list[int] = []
    tokens = np.concatenate(ragged)
    assert len(spaces(Counted(tokens, np.array([len(text) for text in ragged])), [tokens[0]] * means)) == means
    assert sorted(reads) == list(range(len(tokens)))


@pytest.mark.parametrize("chunk", [1, 4, 7])
def test_chunks_do_not_matter_to_any_mean(make_store, awkward, monkeypatch, chunk):
    texts, means = awkward
    made = make_store(texts)
    whole = spaces(made, means)
    monkeypatch.setattr(moments, "CHUNK", chunk)
    for found, wanted in zip(spaces(made, means), whole, strict=True):
        assert found.within == pytest.approx(wanted.within, rel=1e-12)
        assert found.measures == pytest.approx(wanted.measures, rel=1e-12)


@pytest.mark.parametrize("tokens", [2, 7, 8])
def test_orthogonal_tokens_of_a_text_are_of_as_many_dimensions(rng, tokens):
    texts = [np.linalg.qr(rng.standard_normal((8, 8)))[0][:tokens] for _ in range(5)]
    wanted = dict.fromkeys(("stable_rank", "participation_ratio", "effective_rank"), tokens)
    wanted |= {"mean_pairwise_cosine": 0, "top_share": 1 / tokens, "n": 5, "dim": 8}
    assert within(texts) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("copies", [3, 20])
def test_copies_of_one_token_are_of_rank_one_within_and_isotropic_over_the_corpus(copies):
    """Texts of fewer tokens than dimensions and of more; each text is another axis."""
    found = spaces(store(np.repeat(np.eye(8), copies, axis=0), [copies] * 8), [None])[0]
    assert found.within == pytest.approx({**dict.fromkeys(moments.MEASURES, 1), "n": 8, "dim": 8}, rel=1e-6)
    assert found.measures["stable_rank"] == pytest.approx(8) and found.measures["effective_rank"] == pytest.approx(8)
    assert found.measures["mean_pairwise_cosine"] == pytest.approx((copies - 1) / (8 * copies - 1))


@pytest.mark.parametrize("cosine", [0.1, 0.6, 0.95])
def test_cones_of_texts_in_different_directions(rng, cosine):
    """A planted cone in each text, turned at random: its own within the text, no cone over the corpus."""
    rest = np.concatenate([np.eye(8)[1:], -np.eye(8)[1:]]) * np.sqrt(1 - cosine)
    cone = rest + np.sqrt(cosine) * np.eye(8)[:1]
    turns = [np.linalg.qr(rng.standard_normal((8, 8)))[0] * rng.choice([-1, 1]) for _ in range(400)]
    texts = [cone @ turn for turn in turns]
    top = max(cosine, (1 - cosine) / 7)
    found = spaces(store(np.concatenate(texts), [14] * 400), [None])[0]
    wanted = {"mean_pairwise_cosine": (14 * cosine - 1) / 13, "top_share": top, "stable_rank": 1 / top}
    assert {name: found.within[name] for name in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert abs(found.measures["mean_pairwise_cosine"]) < 0.02 and found.measures["stable_rank"] > 6


def test_isotropic_within_each_text(rng):
    found = within([unit(rng, 4000, 8) for _ in range(3)])
    assert abs(found["mean_pairwise_cosine"]) < 2e-3 and 7 < found["stable_rank"] <= 8
    assert 7.9 < found["participation_ratio"] <= found["effective_rank"] <= 8


def test_the_mean_taken_away_is_no_cone_any_more(rng):
    """Isotropic tokens on a common offset: less the offset, isotropic within each text and over the corpus."""
    offset = (3 * np.eye(8)[0]).astype(np.float32)
    texts = store(unit(rng, 8000, 8) + offset, [2000] * 4)
    raw, less = spaces(texts, [None, offset])
    assert raw.within["mean_pairwise_cosine"] > 0.8 and raw.within["stable_rank"] < 1.2
    assert abs(less.within["mean_pairwise_cosine"]) < 2e-3 and less.within["stable_rank"] > 7
    assert abs(less.measures["mean_pairwise_cosine"]) < 2e-3 and less.measures["stable_rank"] > 7


def test_vectors_that_all_equal_their_mean_have_finite_measures(rng):
    """Nothing is left of them: no direction, no spread."""
    token = unit(rng, 1, 8)
    found = spaces(store(np.repeat(token, 6, axis=0), [3, 3]), [token[0]])[0]
    assert found.within["n"] == 0 and np.isfinite(list(found.measures.values())).all()
