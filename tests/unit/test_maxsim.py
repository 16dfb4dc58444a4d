"""MaxSim against the triple loop, on ragged, empty and one-token texts, whatever the block size and threads."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch

from harness.methods.exact import Exact
from harness.ranking import maxsim, maxsim_cpu
from harness.ranking.maxsim import Pairs
from harness.system.threads import torch_threads

CPU = torch.device("cpu")


@pytest.fixture
def expected(query_texts, ragged):
    return np.array([[reference.maxsim(query, document) for document in ragged] for query in query_texts])


class Everything:
    """Takes all scores as they come."""

    def __init__(self, queries, docs):
        self.scores = np.full((queries, docs), np.nan)

    def add(self, first_row, scores):
        self.scores[:, first_row : first_row + scores.shape[1]] = scores


def dense(queries, docs, block_bytes):
    found = Everything(len(queries), len(docs))
    maxsim.score(queries, docs, Pairs.of([], len(queries)), block_bytes, CPU, found.add)
    return found.scores


@pytest.mark.parametrize("block_bytes", [1, 5_000, 1 << 26])
@pytest.mark.parametrize("at_once", [1, 700, 1 << 18])
def test_all_pairs_equal_the_triple_loop(monkeypatch, make_store, query_texts, ragged, expected, block_bytes, at_once):
    monkeypatch.setattr(maxsim_cpu, "_SIMILARITIES", at_once)
    monkeypatch.setattr(maxsim_cpu, "_WORK", at_once)
    found = dense(make_store(query_texts), make_store(ragged), block_bytes)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_bytes", [1, 1 << 26])
@pytest.mark.parametrize("at_once", [1, 700, 1 << 18])
def test_scores_of_tokens_equal_the_triple_loop(monkeypatch, make_store, query_texts, ragged, block_bytes, at_once):
    monkeypatch.setattr(maxsim_cpu, "_SIMILARITIES", at_once)
    monkeypatch.setattr(maxsim_cpu, "_WORK", at_once)
    tokens = np.concatenate(query_texts)
    texts = [*ragged, np.empty((0, tokens.shape[1]), dtype=np.float32)]
    found = Everything(len(tokens), len(texts))
    maxsim.token_scores(make_store(list(tokens[:, None])), make_store(texts), block_bytes, CPU, found.add)
    expected = [[reference.maxsim(token[None], document) for document in texts] for token in tokens]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5, atol=1e-5)


def some_candidates(rng, queries, docs):
    candidates = np.array([rng.permutation(docs)[:11] for _ in range(queries)])
    candidates[3, 8:] = -1  # a short list
    return candidates


@pytest.mark.parametrize("block_bytes", [1, 1 << 26])
@pytest.mark.parametrize("at_once", [1, 1 << 18])
def test_candidates_equal_the_triple_loop(
    monkeypatch, make_store, query_texts, ragged, expected, rng, block_bytes, at_once
):
    monkeypatch.setattr(maxsim_cpu, "_SIMILARITIES", at_once)
    monkeypatch.setattr(maxsim_cpu, "_WORK", at_once)
    lists = [some_candidates(rng, len(query_texts), len(ragged)) for _ in range(3)]
    pairs = Pairs.of(lists, len(query_texts))
    assert len(pairs) < sum((rows >= 0).sum() for rows in lists)  # what several lists ask for is computed once
    scores = maxsim.score(make_store(query_texts), make_store(ragged), pairs, block_bytes, CPU)
    for rows in lists:
        wanted = np.where(rows < 0, -np.inf, np.take_along_axis(expected, np.maximum(rows, 0), axis=1))
        np.testing.assert_allclose(pairs.look_up(scores, rows), wanted, rtol=1e-5, atol=1e-5)


def test_a_pairs_score_does_not_depend_on_what_else_is_computed(make_store, query_texts, ragged, rng):
    """To the last bit: among all pairs, among a few, in any block."""
    queries, docs = make_store(query_texts), make_store(ragged)
    everything = dense(queries, docs, 1 << 26)
    for block_bytes in (1, 5_000):
        np.testing.assert_array_equal(dense(queries, docs, block_bytes), everything)
    rows = some_candidates(rng, len(query_texts), len(ragged))
    pairs, found = Pairs.of([rows], len(query_texts)), Everything(len(queries), len(docs))
    few = maxsim.score(queries, docs, pairs, 1 << 26, CPU)
    np.testing.assert_array_equal(maxsim.score(queries, docs, pairs, 1 << 26, CPU, found.add), few)
    of_all = np.where(rows < 0, -np.inf, np.take_along_axis(everything, np.maximum(rows, 0), axis=1))
    np.testing.assert_array_equal(pairs.look_up(few, rows), of_all)


def test_no_pairs_at_all(make_store, query_texts, ragged):
    nothing = Pairs.of([np.full((7, 3), -1)], 7)
    scores = maxsim.score(make_store(query_texts), make_store(ragged), nothing, 1 << 20, CPU)
    assert len(scores) == 0 and (nothing.look_up(scores, np.full((7, 3), -1)) == -np.inf).all()


def test_threads_and_their_pieces_of_work_change_nothing(monkeypatch, make_store, query_texts, ragged, rng):
    queries, docs = make_store(query_texts), make_store(ragged)
    pairs, found = Pairs.of([some_candidates(rng, len(query_texts), len(ragged))], len(query_texts)), []
    for threads, work in ((1, 1 << 22), (2, 700), (3, 1)):
        monkeypatch.setattr(maxsim_cpu, "_WORK", work)
        with torch_threads(threads):
            found.append((dense(queries, docs, 1 << 26), maxsim.score(queries, docs, pairs, 1 << 26, CPU)))
    for every, few in found[1:]:
        np.testing.assert_array_equal(every, found[0][0])
        np.testing.assert_array_equal(few, found[0][1])


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
