"""MaxSim against the triple loop, on ragged, empty and one-token texts, whatever the block size and threads."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch

from harness import maxsim as module
from harness.candidates.exact import Exact
from harness.maxsim import maxsim, pad_queries, rerank_scores, score_all

CPU = torch.device("cpu")


@pytest.fixture
def expected(query_texts, ragged):
    return np.array([[reference.maxsim(query, document) for document in ragged] for query in query_texts])


def dense(queries, docs, block_bytes):
    scores = np.full((len(queries), len(docs)), -np.inf)
    for rows, values in score_all(pad_queries(queries, CPU), docs, block_bytes):
        scores[:, rows.numpy()] = values.numpy()
    return scores


@pytest.mark.parametrize("block_bytes", [1, 5_000, 1 << 26])
@pytest.mark.parametrize("piece", [1, 700, 1 << 18])
def test_all_pairs_equal_the_triple_loop(monkeypatch, make_store, query_texts, ragged, expected, block_bytes, piece):
    monkeypatch.setattr(module, "_PIECE", piece)
    found = dense(make_store(query_texts), make_store(ragged), block_bytes)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_bytes", [1, 1 << 26])
def test_candidates_equal_the_triple_loop(make_store, query_texts, ragged, expected, rng, block_bytes):
    candidates = np.array([rng.permutation(len(ragged))[:11] for _ in query_texts])
    candidates[3, 8:] = -1  # a short list
    found = rerank_scores(make_store(query_texts), make_store(ragged), candidates, block_bytes, CPU)
    wanted = np.take_along_axis(expected, np.maximum(candidates, 0), axis=1)
    np.testing.assert_allclose(found, np.where(candidates < 0, -np.inf, wanted), rtol=1e-5, atol=1e-5)


def test_padding_never_wins_where_all_similarities_are_negative():
    queries, document = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[-1.0, 0.0]]])
    beside_longer = torch.tensor([[[-1.0, 0.0], [-1.0, 0.0]], [[0.0, 1.0], [0.6, 0.8]]])
    assert maxsim(queries, document)[0, 0] == -1
    assert maxsim(queries, beside_longer)[0].tolist() == pytest.approx([-1, 0.6])


def test_threads_change_rounding_only(make_store, query_texts, ragged):
    queries, docs = make_store(query_texts), make_store(ragged)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(dense(queries, docs, 1 << 26))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*found, rtol=1e-6)


@pytest.mark.parametrize("block_bytes", [1, 3_000, 1 << 26])
def test_equal_documents_tie_in_any_block_size(make_store, query_texts, ragged, resources, block_bytes):
    """Ten copies of one document among others: one score for all of them, in the order of their rows."""
    texts = [text for i, text in enumerate(ragged) for text in ([text, ragged[0]] if i % 2 else [text])]
    copies = [row for row, text in enumerate(texts) if text is ragged[0]]
    found = Exact().search(make_store(texts), make_store(query_texts), 50, resources(block_bytes)).ranking
    for rows, scores in zip(found.rows, found.scores, strict=True):
        places = [int(np.flatnonzero(rows == row)[0]) for row in copies]
        assert places == sorted(places) and len(set(scores[places])) == 1


def test_exact_search_ranks_like_the_reference(make_store, query_texts, ragged, expected, resources):
    found = Exact().search(make_store(ragged), make_store(query_texts), 30, resources(2_000)).ranking
    # Rows stand for ids in descending order, so that a lower row wins a tie: texts 0 and 5 are equal.
    ids = [f"{len(ragged) - row:04d}" for row in range(len(ragged))]
    for query, rows in enumerate(found.rows):
        wanted = reference.rank(list(np.float32(expected[query])), ids)
        assert [ids[row] for row in rows if row >= 0] == wanted
        assert 4 not in rows  # no tokens
