"""Centering against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from harness.vectors.centering import fit, token_mean


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
