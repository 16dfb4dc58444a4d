"""VSAG's inverted index of SMVE's codes against plain sums: exact, pruned, few found, refused; and without VSAG."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import reference
import torch
from tiny import in_memory, unit

from harness import indexes
from harness.config.entries import entry
from harness.config.options import MethodOptions
from harness.indexes import sindi_index
from harness.methods import registry
from harness.methods.smve import SparseEncoding
from harness.system.errors import HarnessError

needs_vsag = pytest.mark.skipif(find_spec("pyvsag") is None, reason="`make databases` installs it")
SMVE = {**entry("method", "smve"), "width": 60, "keep": 2}
SIGNED = {**SMVE, "width": 4, "keep": 3}  # the third of four projections is often negative


def index(**options):
    return {**entry("index", "sindi"), **options}


@pytest.fixture
def corpus(rng):
    """120 documents of dimension 8; the fifth has no tokens."""
    texts = [unit(rng, int(n), 8) for n in rng.integers(1, 5, 120)]
    texts[4] = texts[4][:0]
    return texts


def found(corpus, query_texts, resources, options, method=SMVE, k=120, documents="here"):
    made = registry.make({**method, "index": options} if options else method)
    return made.search(in_memory(corpus), in_memory(query_texts), k, replace(resources, documents=documents))


def plain(corpus, query_texts, method, options):
    """Scores [queries, docs] of the reference's codes, pruned as the options say."""
    encoding = SparseEncoding(8, method["width"], method["keep"], 1, "gaussian", method["seed"], torch.device("cpu"))
    anchors = np.stack([own.matrix for own in encoding.sets], axis=1)
    documents = [reference.smve_document(text, anchors, method["keep"]) for text in corpus]
    asked = [reference.smve_query(text, anchors, method["keep"]) for text in query_texts]
    documents = [reference.without_smallest_sum(code, options["doc_prune_ratio"]) for code in documents]
    asked = [reference.without_smallest_count(code, options["query_prune_ratio"], 1) for code in asked]
    return np.array([[reference.dot(query, code) for code in documents] for query in asked])


@needs_vsag
@pytest.mark.parametrize("k", [10, 119])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        (SMVE, index()),
        (SIGNED, index()),
        (SMVE, index(doc_prune_ratio=0.4)),
        (SMVE, index(query_prune_ratio=0.5)),
        (SMVE, index(doc_prune_ratio=0.3, query_prune_ratio=0.75)),
    ],
    ids=["exact", "signed", "documents", "queries", "both"],
)
def test_it_finds_the_documents_with_a_score_above_0_best_first(corpus, query_texts, resources, method, options, k):
    query_texts[2] = query_texts[2][:0]  # a query without tokens finds nothing
    ranking = found(corpus, query_texts, resources(), options, method, k).ranking
    scores = plain(corpus, query_texts, method, options)
    wanted = -np.sort(-np.where(scores > 1e-6, scores, -np.inf), axis=1)[:, :k]
    assert (wanted[:, 0] > 0).any()
    np.testing.assert_allclose(ranking.scores, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ranking.rows < 0, wanted == -np.inf)
    for rows, own, given in zip(ranking.rows, scores, ranking.scores, strict=True):
        np.testing.assert_allclose(own[rows[rows >= 0]], given[rows >= 0], rtol=1e-5, atol=1e-5)
        assert len(set(rows[rows >= 0])) == (rows >= 0).sum()


@needs_vsag
def test_its_recall_is_that_of_the_exact_product_and_two_builds_have_the_same_bytes(corpus, query_texts, resources):
    contents = []
    for place, size in (("one", 1 << 26), ("other", 1 << 14)):
        result = found(corpus, query_texts, resources(size), index(), documents=place, k=10)
        (path,) = (resources().cache / "indexes").glob(f"{place}-*/{sindi_index.FILE}")
        contents.append(path.read_bytes())
        assert result.index_bytes == sum(file.stat().st_size for file in path.parent.glob("index.*"))
        assert result.parts[0]["index_recall"] == {"10": 1.0} and result.details["engine"].startswith("pyvsag ")
        assert result.details["kept_per_document"] > 2
    assert contents[0] == contents[1]
    pruned = found(corpus, query_texts, resources(), index(query_prune_ratio=0.5), documents="one", k=10)
    assert pruned.parts[0]["index_recall"]["10"] < 1
    assert len([*(resources().cache / "indexes").glob("one-*/")]) == 1  # another search of the same index


@needs_vsag
@pytest.mark.parametrize("option", ["doc_prune_ratio", "query_prune_ratio"])
def test_pruning_refuses_negative_weights(corpus, query_texts, resources, option):
    with pytest.raises(
        HarnessError, match=f"index.{option}=0.5 of index=sindi: expected 0, because pruning would leave out the neg"
    ):
        found(corpus, query_texts, resources(), index(**{option: 0.5}), SIGNED)


@needs_vsag
@pytest.mark.parametrize("ratio", [-0.1, 0.95])
def test_impossible_options_are_refused(ratio):
    with pytest.raises(HarnessError, match=f"index.query_prune_ratio={ratio} of index=sindi: expected 0 .* to 0.9"):
        indexes.make(index(query_prune_ratio=ratio))


@needs_vsag
def test_places_that_nothing_fills_are_noticed(corpus, query_texts, resources, monkeypatch):
    found(corpus, query_texts, resources(), index(), k=10)
    monkeypatch.setattr(sindi_index, "_vsag", lambda: FakeVsag)
    with pytest.raises(HarnessError, match="did not fill all places of its result"):
        found(corpus, query_texts, resources(), index(), k=10)


class FakeVsag:
    """Answers every search with the same document ten times."""

    def __init__(self, *_):
        pass

    Index = classmethod(lambda cls, *_: cls())

    def load(self, _):
        pass

    def knn_search(self, index_pointers, k, **_):
        return np.zeros((len(index_pointers) - 1, k), np.int64), np.zeros((len(index_pointers) - 1, k), np.float32)


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(HarnessError, match="needs the package pyvsag .* not installed: run `make databases`"):
        indexes.make(index())


def test_a_method_with_dense_codes_is_refused(monkeypatch):
    monkeypatch.setattr(sindi_index, "version", lambda _: "1.0")
    with pytest.raises(HarnessError, match="index=sindi takes sparse codes, and method=muvera has dense vectors"):
        registry.make({**entry("method", "muvera"), "index": index()})
    with pytest.raises(HarnessError, match="index=sq8 takes dense vectors, and method=smve has sparse codes"):
        registry.make({**SMVE, "index": entry("index", "sq8")})


def test_its_options_are_in_the_name_and_the_identity_of_a_cell():
    options = MethodOptions.of(entry("method", "smve"), index(query_prune_ratio=0.3))
    assert options.variant == "smve+index=sindi+query_prune_ratio=0.3"
    assert options.identity()["index"] == {"name": "sindi", "doc_prune_ratio": 0.0, "query_prune_ratio": 0.3}
