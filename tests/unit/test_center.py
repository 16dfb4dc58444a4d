"""Centering against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from harness.vectors.centering import KINDS, MU_D, Kind, fit, token_mean


@pytest.mark.parametrize("renormalize", [False, True])
@pytest.mark.parametrize("kind", ["corpus", "own"])
def test_each_side_loses_its_mean(make_store, ragged, query_texts, rng, kind, renormalize):
    docs, queries, others = make_store(ragged), make_store(query_texts), make_store(ragged[8:11])
    centering = fit(kind, token_mean(docs), others, renormalize)
    mu_d = reference.token_mean(ragged)
    mu_q = mu_d if kind == "corpus" else reference.token_mean(ragged[8:11])
    for row, text in enumerate(ragged):
        wanted = reference.center(text, mu_d, renormalize)
        np.testing.assert_allclose(centering.apply_documents(docs)[row], wanted, atol=1e-6)
    for row, text in enumerate(query_texts):
        wanted = reference.center(text, mu_q, renormalize)
        np.testing.assert_allclose(centering.apply_queries(queries)[row], wanted, atol=1e-6)


def test_none_is_the_identity(make_store, ragged):
    docs = make_store(ragged)
    assert fit("none", token_mean(docs), None, False).apply_documents(docs) is docs


def test_the_centered_mean_is_zero(make_store, ragged):
    docs = make_store(ragged)
    np.testing.assert_allclose(
        token_mean(fit("corpus", token_mean(docs), None, False).apply_documents(docs)), 0, atol=1e-7
    )


def test_own_needs_queries(make_store, ragged):
    with pytest.raises(ValueError, match="mu_Q, which was not given"):
        fit("own", token_mean(make_store(ragged)), None, False)


@pytest.mark.parametrize("renormalize", [False, True])
@pytest.mark.parametrize(
    ("kind", "share", "of_documents"),
    [("text", 1.0, 1.0), ("shrunk", 0.5, 0.0), ("shrunk", 0.0, 0.25), ("shrunk", 1.0, 1.0)],
)
def test_each_text_loses_a_share_of_its_own_mean(
    make_store, ragged, query_texts, kind, share, of_documents, renormalize
):
    docs, queries, others = make_store(ragged), make_store(query_texts), make_store(ragged[8:11])
    centering = fit(kind, token_mean(docs), others, renormalize, share, of_documents)
    for side, texts, mean, weight in (
        (centering.apply_documents(docs), ragged, reference.token_mean(ragged), of_documents),
        (centering.apply_queries(queries), query_texts, reference.token_mean(ragged[8:11]), share),
    ):
        for row, text in enumerate(texts):
            wanted = text[:0]
            if len(text):
                wanted = reference.center(text, reference.text_shift(text, mean, weight), renormalize)
            if renormalize and len(text) == 1 and weight == 1:
                continue  # a single token less itself is rounding, of any direction
            np.testing.assert_allclose(side[row], wanted, atol=2e-6)


@pytest.mark.parametrize("rows", [1, 4, 23])
def test_centering_by_text_is_the_same_in_any_blocks(make_store, ragged, rows):
    docs = make_store(ragged)
    seen = fit("shrunk", token_mean(docs), docs, False, 0.5, 0.5).apply_documents(docs)
    whole = seen.rows(0, len(docs)).tokens
    parts = [seen.rows(start, min(start + rows, len(docs))).tokens for start in range(0, len(docs), rows)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_share_is_needed_where_an_option_gives_it(make_store, ragged):
    docs = make_store(ragged)
    with pytest.raises(ValueError, match="needs a share"):
        fit("shrunk", token_mean(docs), docs, False, 0.5)


def test_a_side_from_which_nothing_is_subtracted_is_renormalized_too(make_store, ragged, monkeypatch):
    """As the reader of an export does it."""
    monkeypatch.setitem(KINDS, "aside", Kind("docs", "one-sided", MU_D, None))
    store = make_store([3 * text for text in ragged])
    shift = fit("aside", token_mean(store), None, renormalize=True)
    for side in (shift.apply_queries(store), shift.apply_documents(store)):
        tokens = side.rows(0, len(side)).tokens
        np.testing.assert_allclose(np.linalg.norm(tokens, axis=1), 1, rtol=1e-5)
