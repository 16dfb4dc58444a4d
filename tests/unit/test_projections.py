"""MUVERA and SMVE against per-token references, in any block size."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from tiny import unit

from harness.config.entries import entry
from harness.methods import registry, smve_codes
from harness.methods import smve_anchors as anchor_sets
from harness.methods.method import TOKENS
from harness.methods.muvera import FixedDimensionalEncoding, Muvera
from harness.methods.smve import Smve, SparseEncoding
from harness.ranking import products
from harness.system.errors import HarnessError
from harness.vectors.store import stacked

CPU = torch.device("cpu")
WHOLE = (1, 1, 1 << 40)


def only(store):
    """The store as one block."""
    return next(store.blocks(*WHOLE))


@pytest.mark.parametrize("projection", [None, 3])
@pytest.mark.parametrize("bits", [1, 3, 6])
def test_fde_equals_the_reference(make_store, ragged, query_texts, bits, projection):
    fde = FixedDimensionalEncoding(8, 4, bits, projection, 5, CPU)
    planes = fde.planes.numpy().reshape(8, 4, bits)
    projections = None if projection is None else fde.projections.numpy().reshape(8, 4, projection)
    for texts, encode, oracle in (
        (ragged, fde.documents, reference.muvera_document),
        (query_texts, fde.queries, reference.muvera_query),
    ):
        codes = encode(only(make_store(texts))).numpy()
        assert codes.shape == (len(texts), fde.size)
        for code, text in zip(codes, texts, strict=True):
            np.testing.assert_allclose(code, oracle(text, planes, projections), atol=1e-5)


def test_inner_projection_is_signs_over_root_d():
    fde = FixedDimensionalEncoding(8, 4, 2, 9, 5, CPU)
    assert np.unique(fde.projections.numpy()).tolist() == pytest.approx([-1 / 3, 1 / 3])


def test_fde_estimates_maxsim(make_store, rng):
    """Many repetitions without inner projection: a query of one token that is in the document has score near R."""
    document = unit(rng, 12, 8)
    fde = FixedDimensionalEncoding(8, 400, 6, None, 1, CPU)
    score = (fde.queries(only(make_store([document[4:5]]))) * fde.documents(only(make_store([document])))).sum()
    assert 0.9 < float(score) / 400 <= 1.001


@pytest.mark.parametrize("anchors", ["gaussian", "rotation", "hadamard"])
@pytest.mark.parametrize(("width", "keep", "repetitions"), [(20, 3, 1), (12, 5, 3), (4, 4, 2)])
def test_smve_equals_the_reference(make_store, ragged, query_texts, width, keep, repetitions, anchors):
    encoding = SparseEncoding(8, width, keep, repetitions, anchors, 5, CPU)
    matrix = np.stack([anchors.matrix for anchors in encoding.sets], axis=1)
    codes = encoding.documents(only(make_store(ragged)))
    wanted = [reference.smve_document(text, matrix, keep) for text in ragged]
    np.testing.assert_allclose(codes.dense(), wanted, atol=1e-5)
    assert len(codes.weights) == sum(np.count_nonzero(code) for code in wanted)
    codes = encoding.queries(only(make_store(query_texts))).dense()
    np.testing.assert_allclose(codes, [reference.smve_query(t, matrix, keep) for t in query_texts], atol=1e-5)


def test_anchors_are_unit_and_rotations_orthogonal(rng):
    assert np.linalg.norm(anchor_sets.gaussian(8, 50, rng).matrix, axis=0) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(anchor_sets.structured(6, 50, rng).matrix, axis=0) == pytest.approx(1, abs=1e-6)
    for make in (anchor_sets.rotation, anchor_sets.structured):
        anchors = make(8, 20, rng).matrix
        assert anchors.shape == (8, 20)
        np.testing.assert_allclose(anchors[:, :8].T @ anchors[:, :8], np.eye(8), atol=1e-6)
        np.testing.assert_allclose(anchors[:, 8:16].T @ anchors[:, 8:16], np.eye(8), atol=1e-6)


METHODS = [
    Muvera(3, 2, 4, 1),
    Muvera(2, 3, None, 1),
    Smve(30, 4, 1, "gaussian", 1),
    Smve(16, 3, 2, "rotation", 1),
    Smve(30, 4, 2, "hadamard", 1),
]


@pytest.mark.parametrize("method", METHODS)
def test_block_size_changes_rounding_at_most(make_store, ragged, query_texts, resources, method):
    docs, queries = make_store(ragged), make_store(query_texts)
    small, large = (method.search(docs, queries, 30, resources(size)).ranking for size in (1, 1 << 28))
    if isinstance(method, Smve):  # nothing at all: every projection and sum is made in one order
        np.testing.assert_array_equal(small.scores, large.scores)
        np.testing.assert_array_equal(small.rows, large.rows)
    np.testing.assert_allclose(small.scores, large.scores, rtol=1e-5, atol=1e-6)
    assert 4 not in large.rows and (large.counts == len(ragged) - 1).all()  # the document without tokens


@pytest.mark.parametrize("method", METHODS)
def test_what_is_searched_along_changes_no_bit(make_store, resources, rng, method):
    texts, *groups = ([unit(rng, int(n), 8) for n in rng.integers(2, 9, count)] for count in (700, 13, 30, 21))
    docs, queries = make_store(texts), [make_store(group) for group in groups]
    together = method.search(docs, stacked(queries), 30, resources()).ranking
    first = 0
    for one in queries:
        alone = method.search(docs, one, 30, resources()).ranking
        np.testing.assert_array_equal(together.scores[first : first + len(one)], alone.scores)
        np.testing.assert_array_equal(together.rows[first : first + len(one)], alone.rows)
        first += len(one)


def test_a_view_of_a_store_is_its_own_part(make_store, query_texts):
    store = make_store(query_texts)
    assert store.parts == [store]
    view = store.map(lambda tokens, _: -tokens)
    assert view.parts == [view] and stacked([store, view]).parts == [store, view]


@pytest.mark.parametrize("cut", [False, True])  # whether documents and queries are searched in several pieces
@pytest.mark.parametrize("method", METHODS)
def test_search_is_the_dot_product_of_codes(make_store, ragged, query_texts, resources, monkeypatch, method, cut):
    if cut:
        monkeypatch.setattr(products, "TILE", 8)
        monkeypatch.setattr(smve_codes, "_TILE", 8)
        monkeypatch.setattr(smve_codes, "_QUERIES", 3)
    docs, queries = make_store(ragged), make_store(query_texts)
    found = method.search(docs, queries, 30, resources()).ranking
    if isinstance(method, Muvera):
        fde = FixedDimensionalEncoding(8, *method.options, CPU)
        scores = fde.queries(only(queries)) @ fde.documents(only(docs)).T
    else:
        encoding = SparseEncoding(8, *method.options, CPU)
        scores = encoding.queries(only(queries)).dense() @ encoding.documents(only(docs)).dense().T
    for query, rows in enumerate(found.rows):
        rows = rows[rows >= 0]
        np.testing.assert_allclose(found.scores[query, : len(rows)], scores[query, rows], rtol=1e-5, atol=1e-6)


OF_TOKENS = [name for name in registry.all_methods() if registry.method_class(name).reads == TOKENS and name != "plaid"]


@pytest.mark.parametrize("count", [257, 259])
@pytest.mark.parametrize("name", OF_TOKENS)
def test_equal_documents_tie_wherever_they_stand_and_whatever_the_memory(rng, make_store, resources, name, count):
    """The last documents stand alone in a tile, which must not take another path of BLAS with other last bits."""
    small = {"smve": {"width": 256, "keep": 8}, "lemur": {"features": 64, "learn_tokens": 500}}
    method = registry.make({**entry("method", name), **small.get(name, {})})
    texts = [unit(rng, int(n), 48) for n in rng.integers(2, 20, count)]
    texts[-1], texts[200] = texts[0], texts[3]
    docs, queries = make_store(texts, 64), make_store([unit(rng, int(n), 48) for n in rng.integers(3, 9, 30)])
    found = method.search(docs, queries, count, resources()).ranking
    for rows, scores in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
        assert scores[rows.index(0)] == scores[rows.index(count - 1)] and rows.index(0) < rows.index(count - 1)
        assert scores[rows.index(3)] == scores[rows.index(200)]
    little = method.search(docs, queries, count, resources(1 << 18)).ranking
    np.testing.assert_array_equal(little.rows, found.rows)
    np.testing.assert_array_equal(little.scores, found.scores)


def test_seeds_differ_and_repeat(make_store, ragged, query_texts, resources):
    docs, queries = make_store(ragged), make_store(query_texts)
    for make in (lambda seed: Muvera(3, 2, 4, seed), lambda seed: Smve(30, 4, 1, "gaussian", seed)):
        first, again, other = (make(seed).search(docs, queries, 9, resources()).ranking.scores for seed in (1, 1, 2))
        assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize("options", [(0, 5, 16, 1), (20, 0, 16, 1), (20, 17, 16, 1), (20, 5, 0, 1)])
def test_muvera_refuses_impossible_options(options):
    with pytest.raises(HarnessError, match="expected repetitions"):
        Muvera(*options)


@pytest.mark.parametrize("options", [(8, 9, 1, "gaussian", 1), (8, 0, 1, "gaussian", 1), (8, 2, 1, "cosine", 1)])
def test_smve_refuses_impossible_options(options):
    with pytest.raises(HarnessError, match="1 <= keep <= width"):
        Smve(*options)
