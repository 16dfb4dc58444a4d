"""Inputs that make a score doubtful are said in warnings, records and tables; what cannot be used is found first."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from tiny import WORDS, write_dataset

from harness import records
from harness.cli import main
from harness.data import loading
from harness.measure import failing, sources
from harness.methods.plaid import Plaid
from harness.ranking.ranks import Ranking

DOCS = {f"d{i}": " ".join(WORDS[i : i + 6]) for i in range(14)}
QUERIES = {f"q{i}": " ".join(WORDS[i : i + 4]) for i in range(5)}
QRELS = {f"q{i}": {f"d{i}": 1} for i in range(5)}


@pytest.fixture
def words(tmp_path, lateon_like):
    """The words of a command that measures exact search alone, on a cache of its own."""
    return [
        *(f"model.path={lateon_like}", f"results_dir={tmp_path / 'results'}", f"cache_dir={tmp_path / 'cache'}"),
        *("depths=[0,5]", "progress=false", "method=exact", "reference=null", "center=none"),
    ]


def measured(tmp_path, words, capsys):
    """The record that a run writes, and all that it prints."""
    assert main(["run", *words]) == 0
    printed = capsys.readouterr()
    (record,) = records.read_all(tmp_path / "results")
    return record, printed.out, printed.err


def test_oddities_are_in_the_record(tmp_path, words, capsys):
    docs = {**DOCS, "empty": ""}
    folder = write_dataset(tmp_path / "x", docs, QUERIES, {**QRELS, "q1": {"d1": 1, "gone": 1}})
    record, out, _ = measured(tmp_path, [*words, f"dataset.path={folder}"], capsys)
    counts = ("empty_documents", "relevant_judgements", "relevant_not_in_corpus", "relevant_self_matches")
    assert [record.details[name] for name in counts] == [1, 6, 1, 0]
    note = "1 of 6 relevant judgements are of documents that are not in the corpus, and cannot be found"
    assert record.notes == [f"data: {note}"] and f"x: {note}." in out


def test_self_matches_are_kept_where_it_is_asked_for(tmp_path, words, capsys):
    queries = {f"d{i}": text for i, text in enumerate(QUERIES.values())}
    folder = write_dataset(tmp_path / "x", DOCS, queries, {f"d{i}": {f"d{i}": 1} for i in range(5)})
    words = [*words, f"dataset.path={folder}"]
    record, out, err = measured(tmp_path, words, capsys)
    said = "5 of 5 relevant judgements are of the document with the query's own id"
    assert record.ndcg10["final"] == 0 and f"x: {said}" in out and f"warning: x: {said}" in err
    assert main(["run", *words, "dataset.keep_self_matches=true"]) == 1
    assert "made with different dataset" in capsys.readouterr().err
    kept, out, err = measured(tmp_path, [*words, "dataset.keep_self_matches=true", "overwrite=true"], capsys)
    assert kept.ndcg10["final"] > 0 and kept.candidates["self_matches_removed"] == 0 and said not in out + err
    assert kept.identity["dataset"] != record.identity["dataset"]


def test_a_table_of_several_folders_shows_all(tmp_path, words, capsys):
    one, two = (write_dataset(tmp_path / name, DOCS, QUERIES, QRELS) for name in ("José, 1", "it's"))
    paths = f"dataset.path={one},{two}"
    assert main(["run", *words, paths]) == 2 and "a sweep: add -m, or check the path" in capsys.readouterr().err
    assert main(["run", "-m", *words, f"dataset.path='{one}',{two}"]) == 0
    assert "Mean NDCG@10 x 100 over Jose-1-aff3e2f4+it-s (Jose-1-aff3e2f4, it-s).\n" in capsys.readouterr().out
    assert main(["table", words[0], words[1], f"dataset.path={two},'{one}'"]) == 0
    assert "Mean NDCG@10 x 100 over it-s+Jose-1-aff3e2f4 (it-s, Jose-1-aff3e2f4).\n" in capsys.readouterr().out
    assert main(["table", words[0], words[1], f"dataset.path={one}"]) == 0
    assert "Mean NDCG@10 x 100 over Jose-1-aff3e2f4 (Jose-1-aff3e2f4).\n" in capsys.readouterr().out


def test_random_weights_are_said(tmp_path, words, lateon_like, capsys):
    copy, folder = shutil.copytree(lateon_like, tmp_path / "bare"), write_dataset(tmp_path / "x", DOCS, QUERIES, QRELS)
    (copy / "modules.json").write_text(json.dumps(json.loads((copy / "modules.json").read_text())[:1]))
    words = [*words[1:], f"model.path={copy}", f"dataset.path={folder}"]
    record, out, err = measured(tmp_path, words, capsys)
    line = "the projection is random (model.seed=0), as the checkpoint has none"
    assert record.notes == [line] and f"bare: {line}." in out and f"warning: x  bare: {line}" in err
    assert main(["report", *words[:1], "output=" + str(tmp_path / "page.html")]) == 0
    assert line in (tmp_path / "page.html").read_text()


def test_vectors_without_meaning_are_said(tmp_path, words, lateon_like, capsys):
    from safetensors.torch import load_file, save_file

    copy, folder = shutil.copytree(lateon_like, tmp_path / "zero"), write_dataset(tmp_path / "x", DOCS, QUERIES, QRELS)
    weights = load_file(copy / "3_Dense" / "model.safetensors")
    save_file({name: value * 0 for name, value in weights.items()}, copy / "3_Dense" / "model.safetensors")
    record, out, err = measured(tmp_path, [*words[1:], f"model.path={copy}", f"dataset.path={folder}"], capsys)
    line = "100 % of the token vectors of the documents are zero, so scores mean little"
    assert f"pair: {line}" in record.notes and f"zero, x: {line}." in out and f"warning: x  zero: {line}" in err


def test_words_that_the_model_does_not_know_are_said(tmp_path, words, capsys):
    docs = {name: f"{text} lorem ipsum dolor sit amet consectetur elit" for name, text in DOCS.items()}
    folder = write_dataset(tmp_path / "x", docs, QUERIES, QRELS)
    record, out, _ = measured(tmp_path, [*words, f"dataset.path={folder}"], capsys)
    line = "54 % of the tokens of the first documents are unknown to the model's vocabulary"
    assert record.notes == [f"pair: {line}"] and f"lateon-like, x: {line}." in out


def test_a_query_for_which_plaid_finds_nothing_counts_as_0(tmp_path, words, capsys, monkeypatch):
    """PLAID's search as it is, with an empty list for one query; then with empty lists for all."""
    folder = write_dataset(tmp_path / "x", DOCS, QUERIES, QRELS)
    words = [*words, f"dataset.path={folder}", "method=plaid"]
    whole, *_ = measured(tmp_path, words, capsys)
    search = Plaid._search

    def emptied(rows):
        def searched(self, *inputs):
            found = search(self, *inputs)
            found.rows[rows], found.scores[rows] = -1, -np.inf
            return Ranking(found.rows, found.scores)

        return searched

    monkeypatch.setattr(Plaid, "_search", emptied([2]))
    record, out, err = measured(tmp_path, [*words, "overwrite=true"], capsys)
    line = "PLAID found no document for 1 of 5 queries, which count as 0; documents with the same vectors can fill"
    assert line in out and f"warning: x  lateon-like: {line}" in err and "method.n_ivf_probe" in record.notes[0]
    expected = list(whole.per_query["final"])
    expected[2] = 0.0
    assert record.per_query["final"] == expected and record.candidates["fewest"] == 0
    monkeypatch.setattr(Plaid, "_search", emptied(slice(None)))
    assert main(["run", *words, "overwrite=true"]) == 1
    assert "PLAID found no document for 5 of 5 queries, expected some: documents with" in capsys.readouterr().err
    (kept,) = records.read_all(tmp_path / "results")
    assert kept == record


BAD = {
    "no judgements": (
        lambda folder: (folder / "qrels" / "test.tsv").unlink(),
        [],
        "the splits none; set dataset.split",
    ),
    "no folder": (shutil.rmtree, [], "does not exist, expected a folder with corpus.jsonl"),
    "too long": (None, ["model.document_length=129"], "positions for at most 128 tokens"),
    "no model": (None, ["model.path=nowhere"], "the model folder nowhere does not exist"),
    "no tokenizer": (None, ["model.path={copy}"], "has no file of a tokenizer"),
    "PLAID's options": (None, ["method=plaid", "method.n_full_scores=8"], "returns at most 2 documents, expected 11"),
    "MUVERA's options": (None, ["method=muvera", "method.bits=17"], "expected repetitions .* and 1 to 16 bits"),
}


def test_geometry_checks_all_data_sets_first(tmp_path, words, monkeypatch, capsys):
    first, last = (write_dataset(tmp_path / name, DOCS, QUERIES, QRELS) for name in ("first", "last"))
    (last / "queries.jsonl").unlink()
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("a data set was read"))
    with pytest.raises(pytest.fail.Exception, match="a data set was read"):
        main(["geometry", "-m", *words[:3], "progress=false", f"dataset.path={first},{last}"])
    assert "last  lateon-like: " in capsys.readouterr().err


@pytest.mark.parametrize("name", BAD)
def test_what_can_be_known_is_checked_first(tmp_path, words, lateon_like, monkeypatch, name):
    """A sweep over a good data set and a last one: its mistake is said before anything is read or loaded."""
    spoil, more, message = BAD[name]
    first, last = (write_dataset(tmp_path / x, DOCS, QUERIES, QRELS) for x in ("first", "last"))
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    (copy / "tokenizer.json").unlink()
    if spoil:
        spoil(last)
    events = []
    for module, function in ((loading, "load"), (sources, "encoder")):
        before = getattr(module, function)
        monkeypatch.setattr(module, function, lambda *inputs, f=before: (events.append("work"), f(*inputs))[1])
    monkeypatch.setattr(failing.log, "error", lambda _, text: events.append(text))
    swept = ["-m", *words, f"dataset.path={first},{last}"] if spoil else [*words, f"dataset.path={first}"]
    assert main(["run", *swept, *(word.format(copy=copy) for word in more)]) == 1
    assert re.search(message, events[0]) and ("work" in events) == bool(spoil)
