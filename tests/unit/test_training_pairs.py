"""Training pairs: test sets kept out, negatives, the validation split, and what is missing."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from tiny import write_dataset

from harness.config import entries
from harness.data import download
from harness.system.errors import HarnessError
from harness.training import excluded, pairs

LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def prose(rng, words):
    """Random words that no other text has."""
    return ["".join(rng.choice(LETTERS, 6)) for _ in range(words)]


@pytest.fixture
def source(tmp_path, rng):
    """A folder of 40 documents of 30 words; query i asks for document i, and a test may put in more."""

    def make(name, docs=None, queries=None, qrels=None, count=40):
        texts = {f"d{i}": " ".join(prose(rng, 30)) for i in range(count)} | (docs or {})
        asked = {f"q{i}": " ".join(prose(rng, 6)) for i in range(count)} | (queries or {})
        judged = {f"q{i}": {f"d{i}": 1} for i in range(count)} | (qrels or {})
        write_dataset(tmp_path / name, texts, {q: asked[q] for q in judged}, judged)
        return tmp_path / name, texts, asked, judged

    return make


def options(*folders, **changes):
    sources = {folder.name: {"split": "test", "pairs": 1000, "path": str(folder)} for folder in folders}
    shipped = {**entries.entry("train_data", "local"), "name": "some", "sources": sources}
    return {**shipped, "validation_share": 0.3, **changes}


def load(tmp_path, *folders, **changes):
    return pairs.load(options(*folders, **changes), None, tmp_path / "cache")


@pytest.fixture
def excluding(tmp_path, monkeypatch):
    """Options that exclude one data set of given documents, queries and judgements."""

    def make(docs, queries, qrels):
        folder = write_dataset(tmp_path / "scifact", docs, queries, qrels)
        known = {"name": "scifact", "path": str(folder), "split": "test"}
        monkeypatch.setattr("harness.training.pairs.entry", lambda group, name: known)
        return {"exclude": ["scifact"]}

    return make


def used(data):
    """All texts of queries, and of documents, in training and in validation."""
    queries, documents = ({text for group in data.texts(is_query) for text in group} for is_query in (True, False))
    assert documents >= {text for triples in data.triples.values() for triple in triples for text in triple[1:]}
    return queries, documents


def test_test_queries_are_kept_out(tmp_path, source, excluding):
    """Whatever their case, blanks and punctuation."""
    folder, docs, queries, _ = source("one")
    copies = {"a": queries["q3"], "b": queries["q4"].upper() + "?", "c": "  " + queries["q5"].replace(" ", ", ")}
    excluded = excluding({"x": "an unrelated text"}, copies, {name: {"x": 1} for name in copies})
    data = load(tmp_path, folder, **excluded)
    assert data.removed == {"one": {"queries": 3, "documents": 0}} and data.checked == ["scifact"]
    assert used(data)[0] == {queries[f"q{i}"] for i in range(40)} - {queries[f"q{i}"] for i in (3, 4, 5)}


def test_relevant_documents_of_test_sets_are_kept_out(tmp_path, source, excluding, rng):
    """Exact copies, near copies with half of the 8-grams, short copies; not what shares less, or was not relevant."""
    words = [prose(rng, 30) for _ in range(4)]
    test = {f"x{i}": " ".join(text) for i, text in enumerate(words)} | {"short": "Five short words, not more."}
    planted = {
        "exact": test["x0"],
        "recased": test["x0"].upper().replace(" ", " - "),
        "near": " ".join(words[1][:26] + prose(rng, 4)),  # 19 of 23 8-grams
        "within": " ".join(prose(rng, 6) + words[1][5:25] + prose(rng, 4)),  # 13 of 23
        "less": " ".join(words[1][:17] + prose(rng, 13)),  # 10 of 23
        "irrelevant": test["x2"],
        "unjudged": test["x3"],
        "short": "five short words not more",
    }
    folder, docs, queries, _ = source("one", planted, {"p": "who"}, {"p": dict.fromkeys(planted, 1)})
    qrels = {"a": {"x0": 1, "x1": 2, "x2": 0, "short": 1}}
    data = load(tmp_path, folder, **excluding(test, {"a": "what"}, qrels))
    assert data.removed == {"one": {"queries": 0, "documents": 5}}
    found_queries, found = used(data)
    assert not found & {planted[name] for name in ("exact", "recased", "near", "within", "short")}
    assert found >= {planted[name] for name in ("less", "irrelevant", "unjudged")}
    assert "who" not in found_queries  # some of its relevant documents may not be used


def test_an_excluded_set_that_is_not_at_hand_is_named(tmp_path, source, caplog):
    folder, *_ = source("one")
    with caplog.at_level(logging.WARNING):
        data = load(tmp_path, folder, exclude=["npl"])
    assert data.checked == [] and "the data set npl is not available" in caplog.text


def test_documents_judged_zero_are_the_negatives(tmp_path, source):
    """Where one of them is not held out; here each document has a query of its own."""
    qrels = {f"q{i}": {f"d{i}": 1, f"d{(i + 1) % 40}": 0, f"d{(i + 2) % 40}": 0} for i in range(40)}
    folder, docs, queries, _ = source("one", qrels=qrels)
    data = load(tmp_path, folder)
    name = {text: key for key, text in {**docs, **queries}.items()}
    held = {doc.removeprefix("one/") for judged in data.validation.qrels.values() for doc in judged}
    of_judged = 0
    for query, _, negative in data.triples["one"]:
        usable = {doc for doc, score in qrels[name[query]].items() if not score} - held
        of_judged += bool(usable)
        assert name[negative] not in held and (not usable or name[negative] in usable)
    assert len(held) > 5 and of_judged > 15


def test_a_negative_is_never_relevant(tmp_path, source):
    """For some queries, a quarter of the documents is relevant."""
    qrels = {f"q{i}": {f"d{j % 40}": 1 for j in range(i, i + 10)} for i in range(0, 40, 4)}
    folder, docs, queries, judged = source("one", qrels=qrels)
    row, seen = {text: name for name, text in queries.items()}, 0
    for seed in range(20):
        for query, positive, negative in load(tmp_path, folder, seed=seed, validation_share=0.2).triples["one"]:
            relevant = {docs[doc] for doc in judged[row[query]]}
            assert positive in relevant and negative not in relevant
            seen += row[query] in qrels
    assert seen > 10


def test_the_text_of_a_relevant_document_is_never_the_negative(tmp_path, source):
    """Documents that are there twice, under two names, of which one is judged."""
    twins = {f"e{i}": "the same words" for i in range(30)}
    folder, docs, *_ = source("one", twins, {"p": "who"}, {"p": {"e0": 1}})
    for seed in range(10):
        triples = load(tmp_path, folder, seed=seed).triples["one"]
        assert all(positive != negative for _, positive, negative in triples)


def test_held_out_documents_are_not_trained_on(tmp_path, source):
    two_each = {f"q{i}": {f"d{i}": 1, f"d{(i + 9) % 40}": 1} for i in range(0, 40, 2)}
    folder, docs, queries, qrels = source("one", qrels=two_each)
    data = load(tmp_path, folder)
    trained = {text for triple in data.triples["one"] for text in triple[1:]}
    validation = data.validation
    assert len(data.triples["one"]) > 5 and len(validation.queries) >= 3
    for name, relevant in validation.qrels.items():
        assert validation.queries[name] == queries[name.removeprefix("one/")]
        assert {doc.removeprefix("one/") for doc in relevant} == set(qrels[name.removeprefix("one/")])
        assert not {validation.docs[doc] for doc in relevant} & trained
    assert not set(validation.queries.values()) & {query for query, _, _ in data.triples["one"]}
    assert list(validation.docs) == sorted(validation.docs, reverse=True)


def test_a_held_out_text_is_not_trained_on_under_another_name(tmp_path, source):
    """Each document is there twice; so it may be in two sources, too."""
    folder, docs, queries, _ = source("one", count=20)
    twins = {f"e{i}": docs[f"d{i}"] for i in range(20)}
    asked = {f"p{i}": f"{queries[f'q{i}']} again" for i in range(20)}
    other, *_ = source("two", twins, asked, {f"p{i}": {f"e{i}": 1} for i in range(20)}, count=0)
    data = load(tmp_path, folder, other)
    trained = {text for triples in data.triples.values() for triple in triples for text in triple[1:]}
    relevant = {data.validation.docs[doc] for judged in data.validation.qrels.values() for doc in judged}
    assert not trained & relevant


def test_no_more_than_was_asked_for(tmp_path, source):
    folder, docs, *_ = source("one")
    few = options(folder, validation_queries=3, validation_documents=7)
    few["sources"]["one"]["pairs"] = 5
    data = pairs.load(few, None, tmp_path)
    assert data.count == len(data.triples["one"]) == 5
    assert len(data.validation.queries) == 3 and len(data.validation.docs) == 7
    everything = load(tmp_path, folder)
    assert len(everything.validation.docs) == 40
    assert everything.count + len(everything.validation.queries) == 40


def test_sources_do_not_mix(tmp_path, source):
    one, two = source("one"), source("two")
    data = load(tmp_path, one[0], two[0])
    for name, (_, docs, queries, _) in (("one", one), ("two", two)):
        assert len(data.triples[name]) > 10
        for query, *documents in data.triples[name]:
            assert query in queries.values() and set(documents) <= set(docs.values())
    assert {doc.split("/")[0] for doc in data.validation.docs} == {"one", "two"}
    assert len(used(data)[0]) == 80


def test_a_sources_texts_do_not_depend_on_those_beside_it(tmp_path, source):
    """They are encoded once for every choice of sources; the validation has the rest, each text once."""
    one, two = source("one"), source("two")
    alone, both = load(tmp_path, one[0]), load(tmp_path, one[0], two[0])
    for is_query in (True, False):
        groups = both.texts(is_query)
        assert len(groups) == 3 and groups[0] and groups[0] == alone.texts(is_query)[0]
        assert not set(groups[2]) & {*groups[0], *groups[1]} and len(set(groups[2])) == len(groups[2])


def test_the_same_seed_draws_the_same(tmp_path, source):
    folder, *_ = source("one")
    first, again, other = (load(tmp_path, folder, seed=seed) for seed in (0, 0, 1))
    assert first.triples == again.triples and first.validation.sha256 == again.validation.sha256
    assert first.triples != other.triples and first.validation.sha256 != other.validation.sha256


def test_a_folder_instead_of_sources(tmp_path, source):
    folder, *_ = source("mine")
    named = {**entries.entry("train_data", "local"), "path": str(folder), "split": "test", "validation_share": 0.3}
    data = pairs.load(named, None, tmp_path)
    assert list(data.triples) == ["mine"] and data.count > 10
    assert data.triples["mine"] == load(tmp_path, folder).triples["mine"]


def test_sources_are_found_under_the_data_folder(tmp_path, source):
    source("group/mine")
    named = options(sources={"mine": {"split": "test", "pairs": 9}})
    assert pairs.load(named, str(tmp_path), tmp_path / "cache").count == 9


def test_what_is_missing_is_a_sentence(tmp_path, source):
    with pytest.raises(HarnessError, match="names no sources: set train_data.path"):
        load(tmp_path)
    with pytest.raises(download.Absent, match="'nowhere' was not found"):
        load(tmp_path, sources={"nowhere": {"split": "train", "pairs": 9}})
    with pytest.raises(HarnessError, match="does not exist"):
        load(tmp_path, tmp_path / "gone")
    folder, *_ = source("one")
    for share in (0.0, 1.0):
        with pytest.raises(HarnessError, match="expected at least one of each"):
            load(tmp_path, folder, validation_share=share)


def test_nothing_left_is_a_sentence(tmp_path, source, excluding):
    folder, docs, queries, qrels = source("one")
    everything = excluding(docs, queries, qrels)
    with pytest.raises(HarnessError, match="0 training pairs and 0 validation queries"):
        load(tmp_path, folder, **everything)
    unjudged, *_ = source("two", qrels={f"q{i}": {f"d{i}": 0} for i in range(40)})
    with pytest.raises(HarnessError, match="no score in .* is above 0, expected at least one relevant document"):
        load(tmp_path, unjudged)


def test_documents_without_text_are_not_used(tmp_path, source):
    folder, *_ = source("one", {f"d{i}": "" for i in range(10)})
    data = load(tmp_path, folder)
    queries, documents = used(data)
    assert "" not in documents and len(queries) == 30


def test_grams_are_runs_of_eight_words():
    words = "one two three four five six seven eight nine ten"
    assert len(excluded.grams(words)) == 3 and len(excluded.grams("One, two.")) == 1
    assert excluded.grams("ONE  two!") == excluded.grams("one two") != excluded.grams("two one")
    assert excluded.grams(words) > excluded.grams("two three four five six seven eight nine")
    assert np.unique([len(excluded.grams(" ".join(words.split()[:n]))) for n in range(9)]).tolist() == [1]


def test_pairs_have_as_many_negatives_as_asked_for(tmp_path):
    """Judged ones first, then others of the source; with one, the pairs are what they were."""
    docs = {f"d{i}": f"text of document {i}" for i in range(30)}
    qrels = {f"q{i}": {f"d{i}": 1, f"d{i + 1}": 0, f"d{i + 2}": 0} for i in range(6)}
    path = write_dataset(tmp_path / "data", docs, {name: f"question {name}" for name in qrels}, qrels)
    options = {**entries.entry("train_data", "local"), "path": str(path), "split": "test", "validation_share": 0.3}
    found = {n: pairs.load({**options, "negatives": n}, None, tmp_path).triples["data"] for n in (1, 2, 4)}
    for n, triples in found.items():
        for query, positive, *negatives in triples:
            number = int(query.removeprefix("question q"))
            judged = {docs[f"d{number + 1}"], docs[f"d{number + 2}"]}
            assert positive == docs[f"d{number}"] and len(set(negatives)) == n and positive not in negatives
            assert set(negatives) <= judged if n == 1 else set(negatives[:1]) <= judged
    assert [triple[:2] for triple in found[1]] == [triple[:2] for triple in found[4]]
