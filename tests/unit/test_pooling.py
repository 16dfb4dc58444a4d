"""Pooled documents: the clusters of the definition, PyLate's, and the store that keeps them."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from tiny import unit

from harness.config import compose
from harness.config.names import model_name
from harness.config.options import ModelOptions
from harness.vectors.pooling import pool, pooled


def in_order(vectors):
    """Rows in an order of their own: a cluster's number says nothing."""
    return vectors[np.lexsort(vectors.T)]


@pytest.mark.parametrize("factor", [2, 3, 7, 100])
@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 17, 40])
def test_clusters_are_those_of_the_definition_and_pylates(rng, tokens, factor):
    from pylate.models import ColBERT

    text = unit(rng, tokens, 8, cone=0.4)
    found, wanted = pool(text, factor), reference.pooled(text, factor)
    assert len(found) == (tokens if tokens < 3 else 1 + max(1, (tokens - 1) // factor))
    np.testing.assert_array_equal(found[0], text[0])
    np.testing.assert_allclose(in_order(found[1:]), in_order(wanted[1:]), atol=1e-5)
    if tokens > 2:
        (pylates,) = ColBERT.pool_embeddings_hierarchical(None, [torch.from_numpy(text)], pool_factor=factor)
        np.testing.assert_allclose(found, pylates.numpy(), atol=1e-6)


def test_tokens_whose_cosine_rounds_to_more_than_one(rng):
    """PyLate refuses them, as scipy takes no negative distance; a store's float16 vectors are such."""
    text = np.repeat(unit(rng, 5, 8) * np.float32(1.0005), 3, axis=0)
    assert len(pool(text, 3)) == 1 + 14 // 3
    np.testing.assert_allclose(pool(np.repeat(text[:1], 9, axis=0), 2), text[[0, 0]], rtol=1e-6)  # alike: one cluster


@pytest.mark.parametrize("scale", [0.05, 3.0, 100.0])
def test_clusters_do_not_depend_on_the_lengths_of_given_vectors(rng, scale):
    text = unit(rng, 40, 8, cone=0.4)
    lengths = scale * rng.uniform(0.8, 1.2, (40, 1)).astype(np.float32)
    alike, longer = pool(text, 4), pool(text * scale, 4)
    np.testing.assert_allclose(longer, scale * alike, rtol=1e-4, atol=1e-5 * scale)
    assert len(pool(text * lengths, 4)) == len(alike)


def test_a_store_is_pooled_once_and_named_by_its_factor(make_store, ragged):
    store, ids = make_store(ragged), [f"t{i}" for i in range(len(ragged))]
    found = pooled(store, ids, 2)
    assert found.path.name.startswith(f"{store.path.name}-pool2-") and found.dim == store.dim
    for row, text in enumerate(ragged):
        np.testing.assert_allclose(found[row], pool(text, 2) if len(text) else text, atol=1e-3)  # float16
    written = (found.path / "tokens.f16").stat().st_mtime_ns
    assert pooled(store, ids, 2).path == found.path != pooled(store, ids, 3).path
    assert (found.path / "tokens.f16").stat().st_mtime_ns == written


def test_it_is_a_variant_of_the_model_and_part_of_its_identity():
    def model(*words):
        return dict(compose.composed(compose.expand(["model=demo", *words])).model)

    plain, by_short, by_long = model(), model("pool=hierarchical", "pool.factor=3"), model("model.pool=hierarchical")
    assert [model_name(one) for one in (plain, by_short, by_long)] == [
        "demo",
        "demo+pool=hierarchical+pool_factor=3",
        "demo+pool=hierarchical",
    ]
    options = [ModelOptions.of(one) for one in (plain, by_short, by_long)]
    assert [one.pool_factor for one in options] == [None, 3, 2]
    assert "pool" not in options[0].identity(32)  # records of before stay what they are
    assert options[1].identity(32) == {**options[0].identity(32), "pool": "hierarchical", "pool_factor": 3}


def test_a_token_without_a_direction_is_as_far_from_all_as_one_at_right_angles(rng):
    text = unit(rng, 7, 8, cone=0.4)
    text[4] = 0
    np.testing.assert_allclose(in_order(pool(text, 2)[1:]), in_order(reference.pooled(text, 2)[1:]), atol=1e-5)
