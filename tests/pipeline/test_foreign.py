"""Runs of other engines: read, refused, scored, reranked, shown beside ours, and harmless to every other command."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import pytrec_eval
import reference

from harness import records
from harness.cli import main
from harness.data.beir import read_folder
from harness.data.dataset import Dataset
from harness.evaluation import trec
from harness.foreign import read as runs
from harness.records import NO_MODEL
from harness.system.errors import HarnessError

SMALL = ["method.repetitions=3", "method.bits=2", "method.projection=4"]
DEPTHS = "depths=[0,5,20]"


@pytest.fixture
def dataset():
    """Four documents, one with a blank in its id, and three judged queries."""
    docs = {name: "" for name in ("d3", "d2", "d1", "a b")}
    return Dataset("four", docs, {"q1": "", "q2": "", "q3": ""}, {f"q{i}": {"d1": 1} for i in (1, 2, 3)})


def written(path, text):
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def listed(ranking, dataset):
    docs = list(dataset.docs)
    return [[docs[row] for row in best if row >= 0] for best in ranking.rows]


LINES = "q2 Q0 d1 1 0.5 x\nq1 Q0 d2 7 -1e3 x\nq1\tQ0\td1\t1\t2\tx\nq1 Q0 d3 2 2.0 x\nq1 Q0 a%20b 3 2.5 x\n\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.trec", LINES),
        ("run.txt.gz", LINES),
        ("run.json", json.dumps({"q2": {"d1": 0.5}, "q1": {"d2": -1e3, "d1": 2, "d3": 2.0, "a b": 2.5}})),
        ("run.json.gz", json.dumps({"q2": {"d1": 0.5}, "q1": {"d2": -1e3, "d1": 2, "d3": 2.0, "a b": 2.5}}, indent=1)),
    ],
)
def test_ranks_by_score_with_our_ties(tmp_path, dataset, name, text):
    """The rank of the file is not read; equal scores stand by id, descending."""
    found = runs.read(written(tmp_path / name, text), dataset, 10)
    assert listed(found, dataset) == [["a b", "d3", "d1", "d2"], ["d1"], []]
    assert found.scores[0].tolist() == [2.5, 2.0, 2.0, -1000.0] and np.isneginf(found.scores[2]).all()
    assert listed(runs.read(tmp_path / name, dataset, 2), dataset) == [["a b", "d3"], ["d1"], []]


def test_an_id_that_looks_escaped_is_itself(tmp_path):
    one = Dataset("one", {"a%20b": ""}, {"q": ""}, {"q": {"a%20b": 1}})
    for text in ("q Q0 a%20b 1 2 x\n", "q Q0 a%2520b 1 2 x\n"):
        assert listed(runs.read(written(tmp_path / "r.trec", text), one, 5), one) == [["a%20b"]]


def test_an_id_that_may_be_one_of_two_is_refused(tmp_path):
    both = Dataset("two", {"a%20b": "", "a b": ""}, {"q": ""}, {"q": {"a b": 1}})
    with pytest.raises(HarnessError, match="'a%20b', which is an id and also how the id 'a b' is written"):
        runs.read(written(tmp_path / "r.trec", "q Q0 a%20b 1 2 x\n"), both, 5)
    found = runs.read(written(tmp_path / "r.json", json.dumps({"q": {"a%20b": 1.0, "a b": 2.0}})), both, 5)
    assert listed(found, both) == [["a b", "a%20b"]]


def test_the_ids_of_a_saved_run_come_back(tmp_path):
    names = ["a b", "c%20d", "100%", "a\tb", "a\u00a0b", "%"]
    dataset = Dataset("odd", dict.fromkeys(sorted(names, reverse=True), ""), {"what is": "", "q": ""}, {})
    rows = np.array([[3, 0, 5, 1, 2, 4], [4, 2, -1, -1, -1, -1]])
    (path,) = trec.save(tmp_path, ("odd", "model", "none", "smve"), dataset, {"0": rows}, None)
    assert all(len(line.split()) == 6 for line in gzip.open(path, "rt", encoding="utf-8"))
    np.testing.assert_array_equal(runs.read(path, dataset, 6).rows, rows)


def test_scores_beyond_float32_keep_their_order(tmp_path, dataset):
    text = "q1 Q0 d1 1 1e200 x\nq1 Q0 d3 1 1e201 x\nq1 Q0 d2 1 1.00000000001 x\nq1 Q0 a%20b 1 1.0 x\n"
    found = runs.read(written(tmp_path / "r.trec", text), dataset, 5)
    assert listed(found, dataset)[0] == ["d3", "d1", "d2", "a b"] and np.isfinite(found.scores[0]).all()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.trec", "q1 Q0 d1 1 2\n", "line 1: 'q1 Q0 d1 1 2', 5 columns; expected six, query Q0 document rank score"),
        ("r.trec", "q1 Q0 d1 1 2 x\nq9 Q0 d1 1 2 x", "line 2: the query 'q9'; expected one of the 3 judged queries"),
        ("r.trec", "q1 Q0 d9 1 2 x", "line 1: the document 'd9'; expected one of the 4 documents of four"),
        ("r.trec", "q1 Q0 d1 1 2 x\nq1 Q0 d1 2 1 x", "line 2: the document 'd1' again for the query 'q1'; expected"),
        ("r.trec", "q1 Q0 d1 1 nan x", "line 1: the score 'nan'; expected a finite number"),
        ("r.trec", "q1 Q0 d1 1 inf x", "line 1: the score 'inf'; expected a finite number"),
        ("r.trec", "q1 Q0 d1 1 high x", "line 1: the score 'high'; expected a finite number"),
        ("r.trec", "\n", "has no document, expected a run"),
        ("r.json", '{"q1": {"d1": NaN}}', "query 'q1': the score nan; expected a finite number"),
        ("r.json", '{"q1": {"d1": true}}', "query 'q1': the score True; expected a finite number"),
        ("r.json", '{"q1": {"d1": 1, "d1": 2}}', "the field 'd1' twice in one object"),
        ("r.json", '{"q1": {"d9": 1}}', "query 'q1': the document 'd9'; expected one of the 4 documents"),
        ("r.json", '{"q1": ["d1"]}', "has another layout, expected ranx's run"),
        ("r.json", '{"q1": ', "is no JSON"),
        ("r.trec.gz", None, "damaged"),
    ],
)
def test_wrong_runs_are_refused_in_one_sentence(tmp_path, dataset, name, text, said):
    path = tmp_path / name
    if text is None:
        path.write_bytes(gzip.compress(LINES.encode())[:-9])
    else:
        written(path, text)
    with pytest.raises(HarnessError) as error:
        runs.read(path, dataset, 10)
    assert said in str(error.value) and str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.fixture
def engine(tiny_dataset, tmp_path, rng):
    """A run of 12 documents for seven of the eight queries of the tiny data set, among them a query's own document."""
    found = {
        query: {
            f"d{i}": float(score) for i, score in zip(rng.permutation(60)[:12], rng.integers(0, 6, 12), strict=True)
        }
        for query in [*(f"q{i}" for i in range(1, 7)), "d9"]
    }
    found["d9"]["d9"] = 99.0
    text = "".join(f"{q} Q0 {d} 0 {score} engine\n" for q, docs in found.items() for d, score in docs.items())
    return found, written(tmp_path / "engine.trec.gz", text)


@pytest.fixture
def score(engine, lateon_like, tiny_dataset, tmp_path):
    """Score the run; returns the exit code."""

    def call(*words, model=True):
        given = [f"model.path={lateon_like}"] if model else []
        places = [f"dataset.path={tiny_dataset}", f"results_dir={tmp_path / 'r'}", f"cache_dir={tmp_path / 'c'}"]
        return main(["score", str(engine[1]), *given, *places, "progress=false", *words])

    return call


def of(tmp_path, name="foreign-engine"):
    (record,) = [record for record in records.read_all(tmp_path / "r") if record.method == name]
    return record


def test_a_run_without_a_model_has_trec_evals_scores(score, engine, tiny_dataset, tmp_path, capsys):
    assert score(DEPTHS, "metrics=[ndcg@10,recall@5]", model=False) == 0
    record, (run, _) = of(tmp_path), engine
    assert (record.model, record.center, [*record.ndcg10]) == (NO_MODEL, "none", ["0"]) and record.is_foreign
    qrels = read_folder("tiny", tiny_dataset, "test", None).qrels
    del run["d9"]["d9"]  # a query's own document does not count
    trec = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.5"}).evaluate(run)
    for query, value in record.query_scores("0").items():
        assert value == pytest.approx(trec[query]["ndcg_cut_10"] if query in trec else 0, abs=1e-12)
    recalls = dict(zip(record.per_query["queries"], record.measures["recall@5"]["0"], strict=True))
    assert recalls["q3"] == pytest.approx(trec["q3"]["recall_5"]) and recalls["q0"] == 0
    assert record.candidates["fewest"] == 0 and record.candidates["self_matches_removed"] == 1
    text = capsys.readouterr().out
    assert "| no-model | no | – | foreign-engine |" in text
    assert "no-model, tiny: foreign-engine is the run of another engine, read from engine.trec.gz." in text


def test_a_run_with_a_model_is_reranked_at_all_depths(score, engine, lateon_like, tiny_dataset, tmp_path):
    assert score(DEPTHS, "agreement=true", "depths=[0,5,100]", "save_runs=false") == 2  # not an option of `score`
    assert score("agreement=true", "depths=[0,5,100]") == 0
    record, exact = of(tmp_path), of(tmp_path, "exact")
    assert [*record.ndcg10] == ["0", "5", "100"] and record.model == "lateon-like"
    assert np.mean(exact.measures["maxsim@10"]["final"]) == 1 and {*record.measures} == {"maxsim@10", "maxsim@100"}
    alone = of(tmp_path).query_scores("0")
    assert score(DEPTHS, "name=alone", model=False) == 0
    assert of(tmp_path, "foreign-alone").query_scores("0") == alone
    # In MaxSim's order: exact search's ranking of the documents that the run has.
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path / 'x'}"]
    words += [f"cache_dir={tmp_path / 'c'}", "save_runs=true", "reference=null", "depths=[0,100]", "progress=false"]
    assert main(["run", *words, "method=exact"]) == 0
    (path,) = (tmp_path / "x").rglob("exact.rkfinal.trec.gz")
    order: dict[str, list[str]] = {}
    for line in gzip.open(path, "rt"):
        query, _, document, *_ = line.split()
        order.setdefault(query, []).append(document)
    qrels = read_folder("tiny", tiny_dataset, "test", None).qrels
    for query, documents in engine[0].items():
        reranked = [document for document in order[query] if document in documents]
        wanted = reference.ndcg(reranked, qrels[query])
        assert record.query_scores("100")[query] == pytest.approx(wanted, abs=1e-12)
    assert "index" not in record.bytes


def test_the_same_run_again_is_finished_and_another_one_is_refused(score, engine, tmp_path, capsys):
    for model in (True, False):
        words = (DEPTHS, f"name=again{model}")
        assert score(*words, model=model) == 0
        (path,) = (tmp_path / "r" / "records").rglob(f"foreign-again{model}.json")
        content = path.read_bytes()
        assert score(*words, model=model) == 0 and path.read_bytes() == content
        assert score(*words, "metrics=[mrr@10]", model=model) == 0
        assert [*records.read(path).measures] == ["mrr@10"]
        before = engine[1].read_bytes()
        written(engine[1], "q1 Q0 d1 1 1 x\n")
        capsys.readouterr()
        assert score(*words, model=model) == 2
        assert "was made with different method: set overwrite=true to replace it" in capsys.readouterr().err
        assert score(*words, "overwrite=true", model=model) == 0
        assert records.read(path).identity["method"]["run"] != json.loads(content)["identity"]["method"]["run"]
        engine[1].write_bytes(before)


def test_a_run_stands_beside_ours_in_every_command(score, lateon_like, tiny_dataset, tmp_path, capsys):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path / 'r'}"]
    cache = [f"cache_dir={tmp_path / 'c'}", "progress=false"]
    assert main(["run", *words, *cache, DEPTHS, "method=muvera", *SMALL]) == 0
    capsys.readouterr()
    assert score(DEPTHS, "significance=true", model=False) == 0
    text = capsys.readouterr().out
    ours, theirs = of(tmp_path, "plaid").ndcg10["final"], of(tmp_path).ndcg10["0"]
    assert f"| {100 * ours:.2f} | foreign-engine | {100 * theirs:.2f} ({100 * (theirs - ours):+.1f}" in text
    assert "| no-model | no | foreign-engine | 8 |" in text  # queries of the paired test
    assert score(DEPTHS, "name=reranked", "cost=true", "significance=true") == 0
    text = capsys.readouterr().out
    assert "| foreign-reranked |" in text and "| foreign-engine |" in text and "0 bytes" not in text
    shown = [f"dataset.path={tiny_dataset}", f"results_dir={tmp_path / 'r'}"]
    for command in (
        ["table", *words, DEPTHS, "center=corpus", "significance=true", "cost=true"],
        ["table", *shown, "format=csv", "significance=true", "cost=true"],
        ["table", *shown, "per_query=true"],
        ["table", f"results_dir={tmp_path / 'r'}"],
        ["plot", *shown, "what=depth", DEPTHS],
        ["status", *words, f"cache_dir={tmp_path / 'c'}", "method=smve"],
        ["check", f"results_dir={tmp_path / 'r'}"],
        ["report", *shown, DEPTHS],
    ):
        assert main(command) in ((0, 1) if command[0] == "check" else (0,)), command
        shows = capsys.readouterr().out
        assert command[0] != "table" or "foreign-engine" in shows and "foreign-reranked" in shows
    page = (tmp_path / "r" / "report.html").read_text()
    assert "python -m harness score engine.trec.gz name=engine dataset.path=tiny" in page
    assert "method=foreign" not in page


def test_reproduce_says_that_it_cannot(score, tmp_path, capsys):
    assert score(DEPTHS, model=False) == 0
    (path,) = (tmp_path / "r" / "records").rglob("foreign-engine.json")
    assert main(["reproduce", str(path)]) == 2
    said = capsys.readouterr().err
    assert "is the run of another engine (engine.trec.gz), which cannot be searched again here" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dataset=scifact"], "score needs one run file"),
        (
            ["a.trec", "b.trec", "dataset=scifact"],
            "score needs one run file, such as RUN.trec.gz; found 2: a.trec b.trec",
        ),
        (["a.trec"], "score needs the data set of the run: dataset=NAME"),
        (["a.trec", "dataset=scifact"], "the run a.trec does not exist"),
        (["a.trec", "dataset=scifact,nfcorpus"], "-m"),
        (["a.trec", "dataset=scifact", "method=smve"], "`score` does not read method"),
    ],
)
def test_wrong_words_are_refused(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["score", *words, f"results_dir={tmp_path}"]) == 2
    assert said in capsys.readouterr().err


def test_agreement_needs_a_model(score, capsys):
    assert score("agreement=true", model=False) == 2
    assert "compares a run with exact MaxSim, expected a model: name one" in capsys.readouterr().err
