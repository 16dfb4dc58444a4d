"""Indexes against exact search and plain loops: what is exact, what is kept, what is refused, and names of cells."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import in_memory, unit

from harness import indexes
from harness.config.entries import choices, entry
from harness.config.options import MethodOptions
from harness.indexes import faiss_index
from harness.indexes.faiss_index import FILE, FaissIndex
from harness.methods import lemur, registry
from harness.methods.indexed import checked
from harness.methods.muvera import Muvera
from harness.ranking.ranks import Ranking, recall
from harness.system.errors import HarnessError
from harness.system.folders import MARKER

MUVERA = {**entry("method", "muvera"), "repetitions": 2, "bits": 2, "projection": 4}  # 32 numbers
LEMUR = {**entry("method", "lemur"), "features": 12, "learn_tokens": 200}


def index(name, **options):
    return {**entry("index", name), **options}


@pytest.fixture
def corpus(rng):
    """120 documents of dimension 8; the fifth has no tokens."""
    texts = [unit(rng, int(n), 8, cone=0.2).astype(np.float16).astype(np.float32) for n in rng.integers(1, 12, 120)]
    texts[4] = texts[4][:0]
    return texts


def found(corpus, query_texts, resources, options, method=MUVERA, k=30, documents="here"):
    docs, queries = in_memory(corpus), in_memory(query_texts)
    made = registry.make({**method, "index": options} if options else method)
    return made.search(docs, queries, k, replace(resources, documents=documents))


def same(one, other):
    """Rankings with the same scores, place by place, up to rounding, and nearly the same documents."""
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-4)
    assert recall(one, other, 30) > 0.98


FEW_BITS = {"rabitq": {}, "pq": {"dsub": 4, "nbits": 6}}
EXACT = [
    index("hnsw", efSearch=200, storage="flat"),  # more in sight than there are documents
    index("ivf", nlist=6, nprobe=6),  # all clusters are searched
    index("pq", dsub=32, nbits=6),
]


@pytest.mark.parametrize("method", [MUVERA, LEMUR])
@pytest.mark.parametrize("options", EXACT[:2], ids=lambda options: options["name"])
def test_an_index_that_looks_at_everything_is_exact_search(corpus, query_texts, resources, options, method):
    exact = found(corpus, query_texts, resources(), None, method).ranking
    result = found(corpus, query_texts, resources(), options, method)
    np.testing.assert_allclose(result.ranking.scores, exact.scores, rtol=2e-3, atol=2e-3)
    assert recall(result.ranking, exact, 30) > 0.97
    assert (4 not in result.ranking.rows) and (result.ranking.rows >= 0).all()


def test_pq_with_a_centroid_for_each_vector_is_exact_search(corpus, query_texts, resources):
    few = corpus[:17]  # 16 with tokens
    exact = found(few, query_texts, resources(), None, k=16).ranking
    result = found(few, query_texts, resources(), index("pq", dsub=32, nbits=4), k=16)
    same(result.ranking, exact)
    assert result.parts[0]["index_recall"] == {"10": pytest.approx(recall(result.ranking, exact, 10))}
    assert result.details["code_bytes"] == 1 and result.details["training_vectors"] == 16


@pytest.mark.parametrize("method", [MUVERA, LEMUR])
@pytest.mark.parametrize("name", ["fp16", "sq8"])
def test_rounded_numbers_are_near_exact_search(corpus, query_texts, resources, name, method):
    exact = found(corpus, query_texts, resources(), None, method).ranking
    result = found(corpus, query_texts, resources(), index(name), method)
    share, size = {"fp16": 2e-3, "sq8": 2e-2}[name], {"muvera": 32, "lemur": 12}[method["name"]]
    np.testing.assert_allclose(result.ranking.scores, exact.scores, atol=share * np.abs(exact.scores).max())
    assert result.details["code_bytes"] == {"fp16": 2, "sq8": 1}[name] * size


@pytest.mark.parametrize(
    "options", [index("opq", d_out=16, dsub=4, nbits=3), index("rabitq"), *EXACT], ids=lambda o: o["name"]
)
def test_two_builds_have_the_same_bytes_whatever_the_blocks(corpus, query_texts, resources, options):
    contents = []
    for place, size in (("one", 1 << 26), ("other", 1 << 14)):
        result = found(corpus, query_texts, resources(size), options, documents=place)
        (path,) = (resources().cache / "indexes").glob(f"{place}-*/{FILE}")
        contents.append(path.read_bytes())
        assert result.index_bytes == path.stat().st_size
    assert contents[0] == contents[1]


def test_recall_is_that_of_a_plain_loop(rng):
    exact, other = (Ranking(np.stack([rng.permutation(20)[:9] for _ in range(6)]), np.zeros((6, 9), "f")) for _ in "ab")
    exact.rows[2, 5:] = -1
    other.rows[3] = -1
    wanted = []
    for row in range(6):
        first = [document for document in exact.rows[row][:7].tolist() if document >= 0]
        wanted.append(sum(document in other.rows[row][:7].tolist() for document in first) / len(first))
    assert recall(other, exact, 7) == pytest.approx(sum(wanted) / 6)


def test_an_index_is_built_once_and_damage_is_named(corpus, query_texts, resources):
    first = found(corpus, query_texts, resources(), index("hnsw", efSearch=40)).ranking
    (marker,) = resources().cache.rglob(MARKER)
    built = marker.stat().st_mtime_ns
    found(corpus, query_texts, resources(), index("hnsw", efSearch=64))  # another search of the same index
    assert [path.stat().st_mtime_ns for path in resources().cache.rglob(MARKER)] == [built]
    content = bytearray((marker.parent / FILE).read_bytes())
    content[-5] ^= 1
    (marker.parent / FILE).write_bytes(content)
    with pytest.raises(HarnessError, match=f"the index is damaged .* delete the folder {marker.parent} and run again"):
        found(corpus, query_texts, resources(), index("hnsw", efSearch=40))
    marker.unlink()  # as if the build had been cut off: it is built again
    again = found(corpus, query_texts, resources(), index("hnsw", efSearch=40)).ranking
    np.testing.assert_array_equal(again.rows, first.rows)
    assert checked(marker.parent)["details"]["training_vectors"] == 0
    marker.write_text(json.dumps({"files": {}}))
    with pytest.raises(HarnessError, match="is damaged"):
        checked(marker.parent)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            index("pq"),
            r"learns 256 centroids from 119 documents, expected at least as many \(at most 16384 .*index\.nbits",
        ),
        (index("ivf", nlist=500), r"learns 500 clusters from 119 documents.*set index\.nlist lower"),
        (index("pq", dsub=5, nbits=2), r"index\.dsub=5 of index=pq: expected a divisor of the 32 numbers"),
        (
            index("hnsw", efSearch=29),
            r"finds at most so many documents, expected 30: set index\.efSearch to at least 30",
        ),
    ],
)
def test_what_cannot_be_built_or_searched_is_a_sentence(corpus, query_texts, resources, options, sentence):
    with pytest.raises(HarnessError, match=sentence):
        found(corpus, query_texts, resources(), options)
    assert not [*resources().cache.rglob(MARKER)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (index("pq", nbits=17), "index.nbits=17 of index=pq: expected 1 to 16 bits"),
        (index("hnsw", M=0), "index.M=0 of index=hnsw: expected at least 2"),
        (index("hnsw", M=1), "index.M=1 of index=hnsw: expected at least 2"),
        (index("hnsw", efConstruction=0), "index.efConstruction=0 of index=hnsw: expected at least 1"),
        (index("hnsw", M=None), "index.M=None of index=hnsw: expected at least 2"),
        (index("rabitq", nb_bits=10), "index.nb_bits=10 of index=rabitq: expected 1 to 9 bits"),
        (index("rabitq", qb=9), "index.qb=9 of index=rabitq: expected 0"),
        (index("ivf", storage="pq"), "index.storage=pq of index=ivf: expected one of flat, fp16, sq8"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(HarnessError, match=sentence):
        indexes.make(options)


@pytest.mark.parametrize("method", ["plaid", "exact", "bm25", "binary"])
def test_a_method_without_codes_has_no_index(method):
    with pytest.raises(
        HarnessError, match=f"method={method} has no codes that an index could keep: leave index=sq8 out"
    ):
        registry.make({**entry("method", method), "index": index("sq8")})


def test_names_and_identities_have_the_index_unless_it_is_flat():
    plain = MethodOptions.of(entry("method", "muvera"))
    flat = MethodOptions.of(entry("method", "muvera"), index("flat"))
    assert (flat.variant, flat.identity()) == (plain.variant, plain.identity())
    shipped = MethodOptions.of(entry("method", "muvera"), index("pq"))
    assert shipped.variant == "muvera+index=pq" and shipped.identity()["index"] == index("pq")
    other = MethodOptions.of({**entry("method", "muvera"), "bits": 4}, index("hnsw", efSearch=64))
    assert other.variant == "muvera+bits=4+index=hnsw+efSearch=64"
    assert registry.base_name(other.variant) == "muvera"
    assert {name for name in choices("index") if name != "flat"} >= {
        "fp16",
        "sq8",
        "pq",
        "opq",
        "rabitq",
        "hnsw",
        "ivf",
    }


def test_what_faiss_refuses_is_a_sentence(corpus, query_texts, resources, monkeypatch):
    monkeypatch.setattr(FaissIndex, "_factory", lambda self, codes: "NOTHING")
    with pytest.raises(
        HarnessError, match=r"faiss cannot build index=pq with index\.dsub=8, index\.nbits=8 \(.*NOTHING"
    ):
        found(corpus, query_texts, resources(), index("pq"))


def test_what_is_learned_from_few_of_many_documents_is_said(corpus, query_texts, resources, monkeypatch, caplog):
    """There are as many documents as faiss asks for, but the index learns from fewer."""
    monkeypatch.setattr(faiss_index, "MOST_TRAINING", 60)
    result = found(corpus, query_texts, resources(), index("ivf", nlist=2, nprobe=2))
    assert result.details["training_vectors"] == 60
    assert "learns 2 clusters from 60 documents, where faiss asks for 78: a lower index.nlist is" in caplog.text
    with pytest.raises(
        HarnessError, match=r"learns 64 centroids from 60 documents, expected at least as many \(at most"
    ):
        found(corpus, query_texts, resources(), index("pq", dsub=8, nbits=6))


@pytest.mark.parametrize("name", ["sq8", "hnsw", "sindi"])
def test_a_corpus_without_tokens_is_a_sentence(corpus, query_texts, resources, name):
    if name == "sindi":
        pytest.importorskip("pyvsag", reason="`make databases` installs it")
    method = {**entry("method", "smve"), "width": 64, "keep": 2} if name == "sindi" else MUVERA
    with pytest.raises(HarnessError, match=f"no document has token vectors, expected at least one that index={name}"):
        found([text[:0] for text in corpus], query_texts, resources(), index(name), method)


def test_an_index_whose_building_fails_is_never_used(corpus, query_texts, resources, monkeypatch):
    def full(index, path):
        (resources().cache / "indexes").joinpath(path).write_bytes(b"half")
        raise RuntimeError("Error: 'f' failed: could not write: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("faiss.write_index", full)
        with pytest.raises(
            HarnessError, match=r"cannot write or read the index .*No space left on device\): free some"
        ):
            found(corpus, query_texts, resources(), index("sq8"))
    assert not [*resources().cache.rglob(MARKER)] and len([*resources().cache.rglob(FILE)]) == 1
    assert (found(corpus, query_texts, resources(), index("sq8")).ranking.rows >= 0).all()


def test_two_searches_at_once_build_one_index(corpus, query_texts, resources, monkeypatch):
    built, build = [], FaissIndex.build
    monkeypatch.setattr(FaissIndex, "build", lambda *given: (built.append(1), time.sleep(0.2), build(*given))[-1])
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(found, corpus, query_texts, resources(), index("fp16")) for _ in range(2)]
        one, other = (each.result().ranking for each in running)
    assert len(built) == 1
    np.testing.assert_array_equal(one.rows, other.rows)


def test_exact_search_is_kept_for_all_indexes_of_the_same_codes_and_queries(
    corpus, query_texts, resources, monkeypatch
):
    first = found(corpus, query_texts, resources(), index("sq8"))
    (kept,) = resources().cache.glob("indexes/here-exact-*.npz")
    with monkeypatch.context() as patched:
        patched.setattr(Muvera, "search", None)
        again = found(corpus, query_texts, resources(), index("sq8"))
        other = found(corpus, query_texts, resources(), index("ivf", nlist=6, nprobe=6))
    assert again.parts == first.parts and other.parts[0]["index_recall"]["10"] > 0.97
    found(corpus, query_texts[:3], resources(), index("sq8"))
    assert len([*resources().cache.glob("indexes/here-exact-*.npz")]) == 2  # other queries
    content = bytearray(kept.read_bytes())
    content[50] ^= 1
    kept.write_bytes(content)
    with pytest.raises(HarnessError, match=f"{kept.name} is damaged .* delete it and run again"):
        found(corpus, query_texts, resources(), index("sq8"))


def test_lemurs_vectors_bear_few_bits(corpus, query_texts, resources, monkeypatch):
    """Without balance, an index of few bits keeps those parts of a document that no query sees."""
    method = {**LEMUR, "features": 64, "learn_tokens": 500}

    def kept(name, place):
        result = found(corpus, query_texts, resources(), index(name, **FEW_BITS[name]), method, documents=place)
        return result.parts[0]["index_recall"]["10"]

    balanced = {name: kept(name, "here") for name in FEW_BITS}
    monkeypatch.setattr(lemur, "_balanced", lambda learning, weights: (torch.eye(64), torch.eye(64)))
    plain = {name: kept(name, "there") for name in FEW_BITS}
    assert all(balanced[name] > plain[name] + 0.1 for name in FEW_BITS)


def test_an_indexed_method_keeps_the_title_of_the_method():
    method = {**entry("method", "lemur"), "learn": "queries"}
    made = registry.make({**method, "index": entry("index", "sq8")})
    assert (made.title, made.learn) == ("LEMUR", "queries")
