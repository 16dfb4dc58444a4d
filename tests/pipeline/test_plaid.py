"""fast-plaid as it is used here: repeatable, independent of the batch, and near exact search at a high probe count."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from fast_plaid.search.kmeans import FastKMeans
from tiny import unit

from harness.methods import plaid as plaid_module
from harness.methods.exact import Exact
from harness.methods.plaid import MARKER, Plaid
from harness.system.errors import HarnessError


@pytest.fixture
def corpus(rng):
    """300 documents of 5 to 40 tokens, in 30 topics, dimension 32."""
    topics = rng.standard_normal((30, 32))
    texts = []
    for i in range(300):
        vectors = topics[i % 30] + 0.7 * rng.standard_normal((int(rng.integers(5, 41)), 32))
        texts.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    return texts


@pytest.fixture
def asked(rng, corpus):
    """Twelve queries of 3 to 9 tokens near some documents."""
    texts = [corpus[i * 7][: int(rng.integers(3, 10))] + 0.1 * rng.standard_normal((1, 32)) for i in range(12)]
    return [(text / np.linalg.norm(text, axis=1, keepdims=True)).astype(np.float32) for text in texts]


def plaid(**options):
    return Plaid(**{"nbits": 4, "kmeans_niters": 4, "n_ivf_probe": 8, "n_full_scores": 8192, "seed": 42, **options})


def test_two_builds_give_the_same_results_whatever_the_global_seed(make_store, corpus, asked, tmp_path, resources):
    docs, queries = make_store(corpus), make_store(asked)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        where = resources()
        where = type(where)(where.device, where.block_bytes, tmp_path / f"cache{seed}")
        before = torch.random.get_rng_state()
        found.append(plaid().search(docs, queries, 50, where).ranking)
        assert torch.equal(torch.random.get_rng_state(), before)  # put back
    np.testing.assert_array_equal(found[0].rows, found[1].rows)
    np.testing.assert_array_equal(found[0].scores, found[1].scores)


def test_a_result_does_not_depend_on_the_batch(make_store, corpus, asked, resources, monkeypatch):
    docs = make_store(corpus)
    asked = [asked[i % 12][:4] if i % 3 else asked[i % 12] for i in range(40)]  # 26 queries of one length
    together = plaid().search(docs, make_store(asked), 50, resources()).ranking
    asked = asked[:14]
    for i, query in enumerate(asked):
        alone = plaid().search(docs, make_store([query]), 50, resources()).ranking
        np.testing.assert_array_equal(alone.rows[0], together.rows[i])
        np.testing.assert_allclose(alone.scores[0], together.scores[i], rtol=2e-3)


def test_high_probe_count_finds_what_exact_search_finds(make_store, corpus, asked, resources):
    docs, queries = make_store(corpus), make_store(asked)
    exact = Exact().search(docs, queries, 20, resources()).ranking.rows
    found = plaid(nbits=8, n_ivf_probe=64).search(docs, queries, 20, resources()).ranking.rows
    recall = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(exact, found, strict=True)])
    assert recall >= 0.95


def test_an_index_is_built_once_and_damage_is_named(make_store, corpus, asked, resources):
    docs, queries = make_store(corpus), make_store(asked)
    first = plaid().search(docs, queries, 50, resources()).ranking
    (marker,) = resources().cache.rglob(MARKER)
    built = marker.stat().st_mtime_ns
    np.testing.assert_array_equal(plaid().search(docs, queries, 50, resources()).ranking.rows, first.rows)
    assert marker.stat().st_mtime_ns == built
    damaged = max(marker.parent.glob("*.npy"), key=lambda path: path.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(HarnessError, match=f"delete the folder {marker.parent}"):
        plaid().search(docs, queries, 50, resources())
    marker.unlink()  # as if the build had been cut off: it is built again
    np.testing.assert_array_equal(plaid().search(docs, queries, 50, resources()).ranking.rows, first.rows)
    assert json.loads(marker.read_text())["files"]


@pytest.mark.parametrize("options", [{"nbits": 0}, {"nbits": 3}, {"kmeans_niters": 0}, {"n_ivf_probe": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(HarnessError, match="expected nbits among"):
        plaid(**options)


def test_too_few_full_scores_are_refused(make_store, corpus, asked, resources):
    with pytest.raises(HarnessError, match="n_full_scores to at least 4004"):
        plaid(n_full_scores=400).search(make_store(corpus), make_store(asked), 1001, resources())


def test_kmeans_in_small_pieces_makes_the_same_index(make_store, corpus, asked, resources, monkeypatch):
    docs, queries = make_store(corpus[:60]), make_store(asked)
    sizes, train = [], FastKMeans.train
    monkeypatch.setattr(FastKMeans, "train", lambda self, data: sizes.append(self.chunk_size_data) or train(self, data))
    monkeypatch.setattr(plaid_module, "_CPU_PIECES", {"chunk_size_data": 64, "chunk_size_centroids": 16})
    files = []
    for name in ("ours", "own"):
        cache = replace(resources(), cache=resources().cache / name)
        plaid().search(docs, queries, 20, cache)
        files.append({path.name: path.read_bytes() for path in cache.cache.glob("plaid/*/*.npy")})
        monkeypatch.setattr(Plaid, "pieces", staticmethod(lambda device: nullcontext()))
    assert sizes == [64, 51_200] and files[0] == files[1] and "centroids.npy" in files[0]


def test_a_corpus_too_small_for_plaid_is_a_sentence(make_store, rng, resources):
    docs = make_store([unit(rng, 1, 32), unit(rng, 1, 32)])
    with pytest.raises(HarnessError, match="too few for it"):
        plaid().search(docs, make_store([unit(rng, 3, 32)]), 2, resources())


def test_documents_without_tokens_are_left_out(make_store, corpus, asked, resources, caplog):
    caplog.set_level("WARNING", logger="harness")
    plain = plaid().search(make_store([*corpus[:3], *corpus[4:]]), make_store(asked), 10, resources()).ranking
    corpus[3] = corpus[3][:0]
    found = plaid().search(make_store(corpus), make_store(asked), 10, resources()).ranking
    np.testing.assert_array_equal(found.rows, np.where(plain.rows >= 3, plain.rows + 1, plain.rows))
    np.testing.assert_array_equal(found.scores, plain.scores)
    assert f"1 of {len(corpus)} documents have no token vectors: PLAID leaves them out" in caplog.text
    with pytest.raises(HarnessError, match="no document has token vectors"):
        plaid().search(make_store([text[:0] for text in corpus]), make_store(asked), 10, resources())


def test_the_kernels_for_float16_change_scores_by_rounding_alone(make_store, corpus, asked, resources, monkeypatch):
    docs, queries = make_store(corpus), make_store(asked)
    found = plaid().search(docs, queries, 20, resources()).ranking
    monkeypatch.setattr(Plaid, "kernels", staticmethod(lambda device: nullcontext()))
    own = plaid().search(docs, queries, 20, resources()).ranking  # PyTorch's own kernels, in the same index
    np.testing.assert_allclose(found.scores, own.scores, rtol=2e-3)
    assert (found.rows == own.rows).mean() > 0.95  # near ties may change places
