"""Measures through the pipeline: of the rankings that run files have, added to records without another search."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import reference

from harness import records
from harness.cli import main
from harness.data.beir import read_folder
from harness.methods.muvera import Muvera
from harness.ranking import maxsim

SMALL = ["repetitions=3", "bits=2", "projection=4"]
MUVERA = ["center=corpus", "method=muvera", *(f"method.{word}" for word in SMALL), "depths=[0,20,100]"]
NAMES = "metrics=[ndcg@10,recall@20,mrr@10,judged@10]"
SLOW = {
    "recall@20": reference.recall,
    "mrr@10": reference.reciprocal_rank,
    "judged@10": reference.judged_share,
}


@pytest.fixture
def measure(lateon_like, tiny_dataset, tmp_path):
    """Run on the tiny data set, with one cache; returns the records of a folder by method."""

    def call(*words, results="r"):
        places = [f"results_dir={tmp_path / results}", f"cache_dir={tmp_path / 'c'}", "progress=false"]
        given = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "reference=null"]
        assert main(["run", *given, *places, *words]) == 0
        return {record.method.split("+")[0]: record for record in records.read_all(tmp_path / results)}

    return call


@pytest.fixture
def searches(monkeypatch):
    """What was searched and scored."""
    done, search, score = [], Muvera.search, maxsim.score

    def searched(*arguments, **options):
        done.append("muvera")
        return search(*arguments, **options)

    def scored(queries, docs, pairs, *arguments, **options):
        done.append("maxsim")
        return score(queries, docs, pairs, *arguments, **options)

    monkeypatch.setattr(Muvera, "search", searched)
    monkeypatch.setattr(Muvera, "warm_up", lambda *arguments: None)  # it searches, too
    monkeypatch.setattr(maxsim, "score", scored)
    return done


def rankings(folder, method, depth):
    """Query -> document ids of a run file, best first."""
    (path,) = folder.glob(f"runs/*/*/*/{method}*.rk{depth}.trec.gz")
    found: dict[str, list[str]] = {}
    for line in gzip.open(path, "rt"):
        query, _, document, *_ = line.split()
        found.setdefault(query, []).append(document)
    return found


def test_measures_are_those_of_the_rankings(measure, tiny_dataset, tmp_path):
    words = [NAMES, "agreement=true", "save_runs=true"]
    measure("method=plaid", MUVERA[-1], *words)  # exact search is measured along
    found = measure(*MUVERA, *words)
    assert {*found} == {"muvera", "plaid", "exact"}
    qrels = read_folder("tiny", tiny_dataset, "test", None).qrels
    exact = rankings(tmp_path / "r", "exact", "final")
    for method, record in found.items():
        assert {*record.measures} == {*SLOW, "maxsim@10", "maxsim@100"}
        first = rankings(tmp_path / "r", method, "0" if method == "muvera" else "final")
        for depth in record.ndcg10:
            ranked = rankings(tmp_path / "r", method, depth)
            for i, query in enumerate(record.per_query["queries"]):
                for name, slow in SLOW.items():
                    wanted = slow(ranked[query], qrels[query], int(name.split("@")[1]))
                    assert record.measures[name][depth][i] == pytest.approx(wanted, abs=1e-12)
                for top in (10, 100):
                    among = top if depth in ("0", "final") else int(depth)
                    wanted = reference.share_found(first[query], exact[query], top, among)
                    assert record.measures[f"maxsim@{top}"][depth][i] == pytest.approx(wanted, abs=1e-12)
    assert np.mean(found["exact"].measures["maxsim@10"]["final"]) == 1
    assert 0 < np.mean(found["muvera"].measures["maxsim@10"]["0"]) < 1


def test_measures_are_added_without_a_search(measure, searches, tmp_path):
    before = measure(*MUVERA)["muvera"]
    assert searches.count("muvera") == searches.count("maxsim") == 1
    del searches[:]
    after = measure(*MUVERA, NAMES)["muvera"]
    assert not searches  # neither searched nor scored: the rankings are kept
    assert {*after.measures} == {*SLOW} and before.measures == {}
    assert (after.identity, after.ndcg10, after.per_query, after.key) == (
        (before.identity, before.ndcg10, before.per_query, before.key)
    )
    (path,) = (tmp_path / "r" / "records").rglob("*.json")
    content = path.read_bytes()
    for words in ([], ["metrics=[mrr@10]"]):
        measure(*MUVERA, *words)
        assert path.read_bytes() == content
    more = measure(*MUVERA, "metrics=[recall@5]")["muvera"]
    assert {*more.measures} == {*SLOW, "recall@5"}
    assert more.measures["mrr@10"] == after.measures["mrr@10"]


def test_exact_search_is_measured_along_once(measure, searches, capsys):
    assert {*measure(*MUVERA)} == {"muvera"}
    del searches[:]
    capsys.readouterr()
    found = measure(*MUVERA, "agreement=true")
    assert searches == ["maxsim"] and {*found} == {"muvera", "exact"}
    assert " [" in capsys.readouterr().out
    del searches[:]
    more = measure(*MUVERA, "depths=[0,50,100]")["muvera"]  # what the record has is measured again, from what is kept
    assert "maxsim@100" in more.measures and set(more.ndcg10) == {"0", "20", "50", "100"}
    assert "muvera" not in searches


def test_each_draw_has_its_measures(measure):
    several = measure(*MUVERA, "method.seeds=2", NAMES, "agreement=true")["muvera"]
    for i, seed in enumerate(several.draw_seeds):
        one = measure(*MUVERA, f"method.seed={seed}", NAMES, "agreement=true", results=f"r{seed}")["muvera"]
        for name, by_depth in one.measures.items():
            for depth, values in by_depth.items():
                np.testing.assert_array_equal(several.draws.measures[name][depth][i], values)
    mean = np.mean(several.draws.measures["mrr@10"]["20"], axis=0)
    np.testing.assert_allclose(several.measures["mrr@10"]["20"], mean, atol=1e-15)


def test_a_measure_deeper_than_the_ranking_is_refused(lateon_like, tiny_dataset, tmp_path, capsys):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path}", "depths=[0,50]"]
    assert main(["run", *words, f"cache_dir={tmp_path}", "metrics=[map]", "method=smve"]) == 1
    said = "the measure map looks at 1000 documents, and depths=[0, 50] ranks 50: expected a depth of at least 1000."
    assert said in capsys.readouterr().err


def test_status_knows_measures(lateon_like, tiny_dataset, tmp_path, measure, capsys):
    measure(*MUVERA)
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path / 'r'}"]
    words += [f"cache_dir={tmp_path / 'c'}", "reference=null", *MUVERA]
    for more, said in (([], "1 of 1 cells done"), (["metrics=[mrr@10]"], "0 of 1 cells done")):
        capsys.readouterr()
        assert main(["status", *words, *more]) == 0
        assert said in capsys.readouterr().out
