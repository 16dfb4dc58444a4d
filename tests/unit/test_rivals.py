"""BM25, LEMUR and 1-bit codes against their definitions (tests/reference.py), and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from tiny import WORDS, in_memory

from harness.config.compose import composed
from harness.config.entries import entry
from harness.methods import lemur as lemur_method
from harness.methods import registry
from harness.methods.bm25 import Bm25
from harness.methods.method import TEXTS
from harness.ranking import maxsim, products
from harness.system.errors import HarnessError
from harness.vectors.store import StoreInMemory


def ranked(scores, found=lambda score: True):
    """Rows by score, ties by row; only those with a score that counts as found."""
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    return [row for row in order if found(scores[row])]


def stores(make_store, texts, queries):
    return make_store(texts), in_memory(queries)


def agrees(result, query, scores, rtol=1e-4):
    """A ranking is that of the scores, save for documents that are equal up to rounding."""
    rows = result.ranking.rows[query]
    wanted = [scores[row] for row in ranked(scores)[: len(rows)]]
    np.testing.assert_allclose([scores[row] for row in rows], wanted, rtol=rtol, atol=1e-4)
    np.testing.assert_allclose(result.ranking.scores[query], wanted, rtol=rtol, atol=1e-4)


# BM25


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.5, 0.75), (0.0, 0.0), (2.0, 1.0)])
def test_bm25_is_its_definition(rng, resources, k1, b):
    docs = [" ".join(rng.choice(WORDS, int(rng.integers(1, 30)))) for _ in range(40)]
    docs[3], docs[7] = "", docs[6]  # an empty document, and two that are the same
    queries = [" ".join(rng.choice(WORDS, int(count))) for count in (1, 3, 8)] + ["zebra", "wing zebra wing"]
    found = Bm25(k1, b, stemmer=None, stopwords=None).search_texts(docs, queries, 25, resources())
    for query, (rows, scores) in enumerate(zip(found.ranking.rows, found.ranking.scores, strict=True)):
        wanted = reference.bm25(queries[query].split(), [doc.split() for doc in docs], k1, b)
        best = ranked([round(score, 5) for score in wanted], lambda score: score > 0)[:25]
        assert rows[rows >= 0].tolist() == best and (rows[len(best) :] == -1).all()
        np.testing.assert_allclose(scores[: len(best)], [wanted[row] for row in best], rtol=1e-5)
    assert found.index_bytes > 0 and found.details == {"words": len({word for doc in docs for word in doc.split()})}


def test_bm25_reads_words_without_stop_words_by_their_stems():
    method = registry.make(entry("method", "bm25"))
    assert method.reads == TEXTS
    texts = ["The wings' LIFTING, of a wing_2!", "to be or not to be", ""]
    assert method._words(texts) == [["wing", "lift", "wing_2"], [], []]
    assert Bm25(0.9, 0.4, None, None)._words(texts[:1]) == [["the", "wings", "lifting", "of", "wing_2"]]


def test_bm25_of_documents_without_words_is_refused(resources):
    with pytest.raises(HarnessError, match="no document has a word"):
        registry.make(entry("method", "bm25")).search_texts(["", "the of"], ["wing"], 2, resources())


# LEMUR


def lemur(**options):
    return registry.make({**entry("method", "lemur"), "features": 12, "learn_tokens": 200, **options})


@pytest.mark.parametrize("block_bytes", [1 << 26, 1 << 13])
@pytest.mark.parametrize("part", [1, 0.7, 0.3])  # of all tokens, which are learned from
@pytest.mark.parametrize("cut", [False, True])  # whether tiles, and the sample for a and b, are smaller than the corpus
def test_lemur_is_its_definition(make_store, ragged, query_texts, resources, monkeypatch, block_bytes, part, cut):
    if cut:
        monkeypatch.setattr(products, "TILE", 8)
        monkeypatch.setattr(lemur_method, "_TARGETS_OF", 8)
    docs, queries = stores(make_store, ragged, query_texts)
    tokens, rng = np.concatenate(ragged), np.random.default_rng(42)
    count = int(part * len(tokens))
    found = lemur(learn_tokens=count).search(docs, queries, 9, resources(block_bytes))
    weights = rng.standard_normal((8, 12), dtype=np.float32)
    learning = tokens[np.sort(rng.choice(len(tokens), count, replace=False))]
    full = [row for row, text in enumerate(ragged) if len(text)]
    sample = [i * (len(full) - 1) // 7 for i in range(8)] if cut else list(range(len(full)))  # evenly spaced
    wanted = reference.lemur(query_texts, [ragged[row] for row in full], learning, weights, sample)
    for query, scores in enumerate(wanted):
        every = np.full(len(ragged), -np.inf)
        every[full] = scores
        agrees(found, query, every.tolist(), rtol=2e-3)
    assert found.index_bytes == len(ragged) * 12 * 4 and found.details["learning_tokens"] == count


def test_lemur_is_the_same_in_any_block_and_another_with_another_seed(
    make_store, ragged, query_texts, resources, monkeypatch
):
    monkeypatch.setattr(products, "TILE", 8)
    docs, queries = stores(make_store, ragged, query_texts)
    one, other = (lemur().search(docs, queries, 9, resources(size)).ranking for size in (1 << 26, 1 << 16))
    assert (one.rows == other.rows).all() and (one.scores == other.scores).all()
    third = lemur(seed=43).search(docs, queries, 9, resources()).ranking
    assert (third.scores != one.scores).any()


@pytest.mark.parametrize("block_bytes", [1 << 26, 1])  # draws of the same tokens share a pass, or each has its own
@pytest.mark.parametrize("part", [0.01, 0.6, 2])  # of all tokens, from which each draw learns
def test_draws_of_lemur_are_the_same_whichever_they_are_searched_with(
    make_store, ragged, query_texts, resources, block_bytes, part
):
    docs, queries = stores(make_store, ragged, query_texts)
    teachers = make_store([*ragged[:4], *query_texts])
    learn_tokens = int(part * int(teachers.offsets[-1]))
    draws = [lemur(seed=seed, learn_tokens=learn_tokens).taught(teachers) for seed in (42, 43, 44)]
    together = list(draws[0].search_draws([(draw, queries) for draw in draws], docs, 9, resources(block_bytes)))
    assert len(together) == 3
    for draw, found in zip(draws, together, strict=True):
        alone = draw.search(docs, queries, 9, resources(block_bytes))
        np.testing.assert_array_equal(found.ranking.rows, alone.ranking.rows)
        np.testing.assert_array_equal(found.ranking.scores, alone.ranking.scores)
        assert found.details == alone.details and found.index_bytes == alone.index_bytes
        assert found.seconds.keys() == alone.seconds.keys()


@pytest.mark.parametrize(("part", "passes"), [(2, 1), (0.6, 1), (0.4, 4)])
def test_draws_of_lemur_that_learn_from_few_texts_share_a_pass(
    make_store, ragged, query_texts, resources, monkeypatch, part, passes
):
    """Up to twice as many tokens as each learns from; then each has a pass of its own, over what it learns from."""
    docs, queries = stores(make_store, ragged, query_texts)
    multiplied, whole = [], maxsim.token_scores

    def counted(tokens, some, *words):
        multiplied.append((len(tokens), len(some)))
        whole(tokens, some, *words)

    monkeypatch.setattr(maxsim, "token_scores", counted)
    total = sum(map(len, query_texts))
    draws = [lemur(seed=seed, learn_tokens=int(part * total)).taught(queries) for seed in range(4)]
    list(draws[0].search_draws([(draw, queries) for draw in draws], docs, 9, resources()))
    tokens = total if passes == 1 else int(part * total)
    assert multiplied.count((tokens, len(docs))) == passes and {count for count, _ in multiplied} == {tokens}


def test_lemur_with_as_many_features_as_it_can_use_follows_maxsim(rng, make_store, resources):
    """With more features than learning tokens it fits every target: a query of one learning token has its MaxSim."""
    texts = [rng.standard_normal((6, 8)).astype(np.float32) for _ in range(20)]
    docs = make_store(texts)
    tokens = np.concatenate([docs[row] for row in range(20)])
    found = lemur(features=512, learn_tokens=200).search(
        docs, StoreInMemory(tokens[:5], np.ones(5, dtype=np.int64)), 20, resources()
    )
    for query in range(5):
        exact = [reference.maxsim(tokens[query : query + 1], docs[row]) for row in range(20)]
        assert found.ranking.rows[query].tolist() == ranked(exact)


# 1-bit codes


@pytest.mark.parametrize("queries", ["float", "int8"])
def test_signs_are_their_definition(make_store, ragged, query_texts, resources, queries):
    query_texts[1][2] = 0  # a token of no direction stays one
    docs, asked = stores(make_store, ragged, query_texts)
    found = registry.make({"name": "binary", "queries": queries}).search(docs, asked, 9, resources())
    for query, text in enumerate(query_texts):
        step = np.abs(text).max(axis=1, keepdims=True) / 127
        seen = text if queries == "float" else np.round(text / np.where(step > 0, step, 1)) * step
        agrees(found, query, [reference.binary(seen, document) for document in ragged])
    assert found.index_bytes == sum(map(len, ragged))  # eight numbers a token


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "bm25", "b": 1.5}, "b=1.5: expected k1 of at least 0 and b from 0 to 1"),
        ({"name": "bm25", "k1": -1.0}, "k1=-1.0"),
        ({"name": "bm25", "stemmer": "klingon"}, "method.stemmer=klingon: expected null or one of"),
        ({"name": "bm25", "stopwords": "german"}, "method.stopwords=german: expected english or null"),
        ({"name": "lemur", "features": 0}, "features=0"),
        ({"name": "lemur", "features": 1}, "features=1.*expected at least two features"),
        ({"name": "lemur", "learn": "nothing"}, "learn among documents, pseudo_queries, queries"),
        ({"name": "binary", "queries": "int4"}, "method.queries=int4: expected float or int8"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(HarnessError, match=message):
        registry.make({**entry("method", options["name"]), **options})


def test_whole_numbers_are_real_ones_where_the_option_takes_these():
    chosen = composed(["method=bm25", "method.k1=1", "center=shrunk", "center.share=1"])
    assert isinstance(chosen.method.k1, float) and isinstance(chosen.center.share, float)
    assert composed(["method=bm25", "method.stemmer=null"]).method.stemmer is None
