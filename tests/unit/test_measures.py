"""Measures against slow definitions and trec_eval; in records, draws and tables; recall of exact MaxSim; holes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import pytrec_eval
import reference
from cells import cell, drawn, named, plaid

from harness import records, tables
from harness.cli import main
from harness.config import compose, measures
from harness.config.measures import AGREEMENT, JUDGED10, NDCG10, Measure
from harness.data.dataset import Dataset
from harness.evaluation.agreement import exact_recall
from harness.evaluation.ndcg import Evaluator
from harness.system.errors import HarnessError
from harness.tables import agreement, holes, paired_tests

SLOW = {
    "ndcg": reference.ndcg,
    "recall": reference.recall,
    "mrr": reference.reciprocal_rank,
    "map": reference.average_precision,
    "judged": reference.judged_share,
}
NAMES = ["ndcg@1", "ndcg@20", "recall@5", "recall@100", "mrr@3", "mrr@10", "map", "judged@10", "judged@40"]
TREC = {"ndcg@20": "ndcg_cut_20", "recall@5": "recall_5", "recall@100": "recall_100", "map": "map"}
ROWS = ["corpus"], ["muvera"]


@pytest.fixture
def judged(rng) -> tuple[Dataset, np.ndarray]:
    """40 documents, 7 queries: graded; binary; only zeros; one not in the corpus; many; few found; nothing found."""
    docs = {f"d{i:02d}": "" for i in reversed(range(40))}
    names = list(docs)
    qrels = {
        "graded": {names[i]: int(g) for i, g in enumerate(rng.integers(-1, 4, 25))},
        "binary": {names[3]: 1, names[30]: 1},
        "zeros": {names[5]: 0},
        "missing": {names[8]: 1, "not in the corpus": 1},
        "many": {name: 1 + i % 2 for i, name in enumerate(names)},
        "few": {names[0]: 2, names[1]: 1, names[2]: 0},
        "nothing": {names[0]: 2},
    }
    rows = np.array([rng.permutation(40)[:30] for _ in qrels])
    rows[5, 3:], rows[6] = -1, -1
    return Dataset("judged", docs, {query: "" for query in qrels}, qrels), rows


@pytest.mark.parametrize("name", NAMES)
def test_measures_equal_their_definitions(judged, name):
    dataset, rows = judged
    measure, docs = Measure.of(name), list(dataset.docs)
    found = Evaluator(dataset).score(measure, rows)
    slow = [
        SLOW[measure.kind]([docs[row] for row in best if row >= 0], dataset.qrels[query], measure.cut)
        for query, best in zip(dataset.queries, rows, strict=True)
    ]
    np.testing.assert_allclose(found, slow, atol=1e-12)
    assert 0 < np.mean(found) < 1


def test_measures_equal_trec_evals(judged):
    dataset, rows = judged
    docs = list(dataset.docs)
    runs = {
        query: {docs[row]: float(99 - i) for i, row in enumerate(best) if row >= 0}
        for query, best in zip(dataset.queries, rows, strict=True)
    }
    asked = {"ndcg_cut.20", "recall.5,100", "map", "recip_rank"}
    trec = pytrec_eval.RelevanceEvaluator(dataset.qrels, asked).evaluate(runs)
    for name, trecs in {**TREC, "mrr@30": "recip_rank"}.items():
        wanted = [trec[query][trecs] if query in trec else 0.0 for query in dataset.queries]
        np.testing.assert_allclose(Evaluator(dataset).score(Measure.of(name), rows), wanted, atol=1e-12)


def test_recall_of_exact_equals_the_reference(rng):
    candidates = np.array([rng.permutation(60)[:30] for _ in range(6)])
    exact = np.array([rng.permutation(60)[:25] for _ in range(6)])
    candidates[0, 12:], exact[1, 4:], exact[2] = -1, -1, -1
    for top, depth in [(10, 10), (10, 25), (25, 10), (100, 30)]:
        found = exact_recall(candidates, exact, top, depth)
        for i in (0, 1, 3, 4, 5):
            listed = [[int(row) for row in side[i] if row >= 0] for side in (candidates, exact)]
            assert found[i] == pytest.approx(reference.share_found(*listed, top, depth), abs=1e-12)
        assert found[2] == 0  # exact search ranks nothing


@pytest.mark.parametrize("name", ["ndcg", "recall@0", "map@10", "recall@100000", "p@5", "ndcg@-1", "NDCG@10", "map\n"])
def test_unknown_measures_are_refused(name):
    assert not measures.is_name(name)
    with pytest.raises(ValueError, match="expected ndcg@K"):
        Measure.of(name)


def test_options_name_measures():
    plain, asked = compose.composed([]), compose.composed(["metrics=[ndcg@10,map,recall@20]", "agreement=true"])
    assert measures.further(plain) == ()
    assert [one.name for one in measures.further(asked)] == ["map", "recall@20", "maxsim@10", "maxsim@100"]
    for word in ("metrics=[recall]", "metrics=[]", "metrics=map", "metrics=[map,map]"):
        with pytest.raises(HarnessError, match="metrics=.*: expected ndcg@K, recall@K"):
            compose.composed([word])


def full(record):
    """What `run` writes beside the scores, as little as a record needs to be read."""
    return replace(record, format=records.FORMAT)


def test_a_record_keeps_measures(tmp_path):
    one = full(cell("muvera", {"0": named([0.1, 0.4])}, measures={"map": {"0": [0.5, 0.7]}}))
    assert records.read(records.write(tmp_path, one)) == one
    seen = one.seen_by(Measure.of("map"))
    assert seen.ndcg10 == {"0": pytest.approx(0.6)} and seen.query_scores("0") == {"q0": 0.5, "q1": 0.7}
    assert one.seen_by(NDCG10) is one and one.ndcg10 == {"0": pytest.approx(0.25)}


def test_records_of_older_formats_have_none(tmp_path):
    path = records.write(tmp_path, full(cell("muvera", {"0": named([0.1, 0.4])})))
    content = json.loads(path.read_text())
    del content["crc32"], content["measures"]
    for version in (2, 3):
        path.write_text(json.dumps({**content, "format": version}))
        assert records.read(path).measures == {}
    path.write_text(json.dumps({**content, "format": 4}))
    with pytest.raises(HarnessError, match="KeyError: 'measures'"):
        records.read(path)


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({"p@5": {"0": [0.5, 0.7]}}, "the measure 'p@5'"),
        ({"map": {"50": [0.5, 0.7]}}, "map has other depths than ndcg10"),
        ({"map": [0.5, 0.7]}, "map has other depths than ndcg10"),
        ({"map": {"0": [0.5]}}, "map is not a number for each query"),
        ({"map": {"0": [0.5, 1.5]}}, "map is not a number for each query"),
        ({"map": {"0": [0.5, None]}}, "map is not a number for each query"),
    ],
)
def test_a_strangers_measures_are_checked(tmp_path, measured, said):
    path = records.write(tmp_path, full(cell("muvera", {"0": named([0.1, 0.4])})))
    content = json.loads(path.read_text())
    del content["crc32"]
    path.write_text(json.dumps({**content, "measures": measured}))
    with pytest.raises(HarnessError, match=said):
        records.read(path)


def test_draws_keep_measures(tmp_path, rng):
    values = rng.random((3, 4))
    one = full(drawn("muvera", {"0": rng.random((3, 4))}, (1, 2, 3), measures={"map": {"0": [*values.mean(axis=0)]}}))
    one = replace(one, draws=replace(one.draws, measures={"map": {"0": values}}))
    path = records.write(tmp_path, one)
    found = records.read(path)
    np.testing.assert_array_equal(found.draws.measures["map"]["0"], values)
    seen = found.seen_by(Measure.of("map"))
    assert seen.draws.means == {"0": pytest.approx(values.mean(axis=1).tolist())} and seen.draw_seeds == (1, 2, 3)
    content = json.loads(path.read_text())
    assert content["draws"]["measures"] == {"map": {"0": pytest.approx(values.mean(axis=1).tolist())}}
    del content["crc32"]
    content["draws"]["measures"]["map"]["0"][1] = 0.9
    path.write_text(json.dumps(content))
    with pytest.raises(HarnessError, match="not those of their scores"):
        records.read(path)


@pytest.fixture
def measured(tmp_path, rng):
    """PLAID and MUVERA with two measures; words of the command that shows them."""

    def scores():
        return {name: {"final": rng.random(6).tolist()} for name in ("map", "recall@20")}

    of_muvera = {name: {"0": rng.random(6).tolist(), "50": rng.random(6).tolist()} for name in ("map", "recall@20")}
    found = [
        full(plaid(named(rng.random(6).tolist()), measures=scores())),
        full(cell("muvera", dict.fromkeys(("0", "50"), named(rng.random(6).tolist())), measures=of_muvera)),
    ]
    for record in found:
        records.write(tmp_path, record)
    words = ["table", "dataset=scifact", "center=corpus", "method=muvera", "depths=[0,50]", f"results_dir={tmp_path}"]
    return found, words


def test_a_table_for_each_measure(measured, capsys):
    found, words = measured
    assert main([*words, "metrics=[recall@20,ndcg@10,map]", "significance=true"]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"Mean {title} x 100 over scifact") for title in ("recall@20", "NDCG@10", "MAP")]
    assert places == sorted(places)
    assert "Tied: MAP equal up to 1e-9." in text
    values = found[1].measures["recall@20"]["50"]
    assert f"{100 * np.mean(values):.2f} (" in text
    one_by_one = []
    for name in ("recall@20", "ndcg@10", "map"):
        assert main([*words, f"metrics=[{name}]", "significance=true"]) == 0
        one_by_one.append(capsys.readouterr().out)
    assert text == "".join(one_by_one)


def test_csv_names_its_measure(measured, capsys):
    found, words = measured
    assert main([*words, "format=csv", "significance=true"]) == 0
    plain = capsys.readouterr().out
    assert plain.startswith("model,center,method,depth,dataset,ndcg10,")
    assert main([*words, "format=csv", "significance=true", "metrics=[ndcg@10,map]"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "metric,model,center,method,depth,dataset,value," + plain.splitlines()[0].split("ndcg10,")[1]
    assert [line for line in others if line.startswith("ndcg@10,")] == [f"ndcg@10,{x}" for x in plain.splitlines()[1:]]
    assert main([*words, "per_query=true", "metrics=[map]"]) == 0
    head, *lines = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert head == ["metric", *tables.table.QUERY_COLUMNS[:-1], "value"] and {line[0] for line in lines} == {"map"}
    at = [float(line[-1]) for line in lines if line[4:7] == ["", "muvera", "50"] or line[5:7] == ["muvera", "50"]]
    assert at == found[1].measures["map"]["50"]


def test_tests_of_a_measure_are_those_of_its_scores(measured):
    found, _ = measured
    seen = tables.seen_by(found, Measure.of("map"))
    pairs = paired_tests.to_plaid(tables.rows_of(found, [], *ROWS), [0, 50])
    tested = {one.pair.depth: one for one in paired_tests.tested(pairs, seen, ["scifact"])}
    for depth in ("0", "50"):
        wanted = np.mean(found[1].measures["map"][depth]) - np.mean(found[0].measures["map"]["final"])
        assert tested[depth].difference.delta == pytest.approx(100 * wanted)


def test_a_measure_that_no_record_has_is_named(measured, capsys):
    _, words = measured
    assert main([*words, "metrics=[mrr@10]"]) == 2
    assert "no record of these rows has mrr@10: `run` with metrics=[mrr@10] adds it" in capsys.readouterr().err


def with_agreement(record, first, second):
    """The record with the two shares at each depth."""
    sides = [
        {depth: [share] * len(record.per_query["queries"]) for depth in record.ndcg10} for share in (first, second)
    ]
    return replace(record, measures=dict(zip([one.name for one in AGREEMENT], sides, strict=True)))


def test_recall_of_exact_stands_beside_each_value(tmp_path, capsys):
    half = named([0.5] * 4)
    some = [
        with_agreement(plaid(half), 0.95, 0.9),
        with_agreement(cell("muvera", {"0": half, "50": half}), 0.5, 0.25),
        cell("smve", {"0": half}),
    ]
    for record in some:
        records.write(tmp_path, full(record))
    words = ["table", "dataset=scifact", "depths=[0,50]", f"results_dir={tmp_path}", "center=corpus"]
    assert main([*words, "agreement=true"]) == 0
    text = capsys.readouterr().out
    assert "| MUVERA | 50.00 (+0.0) [50.0 / 25.0] | 50.00 (+0.0) [50.0 / 25.0] |" in text
    assert "| SMVE | 50.00 (+0.0) | – |" in text and "PLAID, LateOn: 50.00 [95.0 / 90.0]." in text
    assert "1 of 4 values have none, as it was not measured: `run` with agreement=true adds it" in text
    assert main([*words, "agreement=true", "metrics=[maxsim@10,ndcg@10]"]) == 0
    assert capsys.readouterr().out.count("[50.0 / 25.0]") == 2  # in the first table alone
    assert main(words) == 0
    assert "[" not in capsys.readouterr().out
    assert main([*words, "agreement=true", "format=csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(",maxsim10,maxsim100")
    (muvera,) = [line for line in lines if ",muvera,50,mean," in line]
    (smve,) = [line for line in lines if ",smve,0,mean," in line]
    assert muvera.endswith(",50.0000,25.0000") and smve.endswith(",,")


def test_a_mean_lacks_the_shares_if_one_of_its_data_sets_does():
    half = named([0.5] * 4)
    some = [
        with_agreement(cell("muvera", {"0": half}), 0.5, 0.25),
        cell("muvera", {"0": half}, dataset="arguana"),
    ]
    sets, rows = ["scifact", "arguana"], tables.rows_of(some, [], *ROWS)
    assert not agreement.beside(some, rows, sets, [0])
    wide = agreement.columns(tables.long_form(some, rows, sets, [0]), some, rows, sets, [0])
    muvera = wide[wide["method"] == "muvera"].set_index("dataset")["maxsim10"]
    assert muvera["scifact"] == pytest.approx(50) and muvera[["arguana", "mean"]].isna().all()


def judged_records(muvera_ndcg, muvera_judged):
    """PLAID with NDCG@10 0.5 and judged@10 0.8, and MUVERA at rk=0 and 50."""
    queries = 4
    measured = {"0": [muvera_judged] * queries, "50": [0.8] * queries}
    return [
        plaid(named([0.5] * queries), measures={JUDGED10.name: {"final": [0.8] * queries}}),
        cell(
            "muvera",
            {"0": named([muvera_ndcg] * queries), "50": named([0.45] * queries)},
            measures={JUDGED10.name: measured},
        ),
    ]


def test_differences_that_holes_may_explain_are_named():
    some = judged_records(muvera_ndcg=0.46, muvera_judged=0.7)  # 10 points more holes, 4 points less NDCG@10
    rows = tables.rows_of(some, [], *ROWS)
    (line,) = holes.warning(some, rows, ["scifact"], [0, 50])
    assert line.startswith("Warning: unjudged documents") and line.endswith(
        ": LateOn, yes, MUVERA rk=0: +10.0 and -4.0."
    )
    found = holes.doubtful(some, rows, ["scifact"], [0, 50])
    assert found["depth"].tolist() == ["0"] and found["holes"].tolist() == [pytest.approx(10)]


@pytest.mark.parametrize(("ndcg", "share"), [(0.3, 0.7), (0.5, 0.795), (0.5, 0.8)])
def test_no_warning_where_scores_differ_by_more_or_holes_by_little(ndcg, share):
    some = judged_records(ndcg, share)
    assert holes.warning(some, tables.rows_of(some, [], *ROWS), ["scifact"], [0, 50]) == []


def test_no_warning_without_judged_shares():
    some = [replace(record, measures={}) for record in judged_records(0.46, 0.7)]
    assert holes.warning(some, tables.rows_of(some, [], *ROWS), ["scifact"], [0, 50]) == []


def test_draws_without_measures_are_written_as_before(tmp_path):
    """The entry of the draws, and the arrays of their file, have no more than format 3 had."""
    one = full(drawn("muvera", {"0": [[0.5, 0.1], [0.2, 0.3]]}, (4, 5)))
    path = records.write(tmp_path, one)
    assert json.loads(path.read_text())["draws"].keys() == {"seeds", "ndcg10", "sha256"}
    (file,) = path.parent.glob("*.npz")
    assert np.load(file).files == ["0"]


def foreign(model=records.NO_MODEL):
    return cell("foreign-x", {"0": named([0.3] * 4)}, "none", model=model)


def test_a_run_without_a_model_is_compared_with_the_only_plaid():
    """Its difference is to PLAID of the one model beside it; of two models, to neither."""
    one, other = plaid(named([0.5] * 4)), plaid(named([0.9] * 4), model="other")
    for some, wanted in (([one, foreign()], -20.0), ([one, other, foreign()], np.nan), ([foreign()], np.nan)):
        rows = tables.rows_of(some, [], [], [])
        assert rows[-1] == tables.Row(records.NO_MODEL, "none", "foreign-x")
        assert sum(row.model == records.NO_MODEL for row in rows) == 1  # it has no rows of the card
        table = tables.long_form(some, rows, ["scifact"], [0])
        (delta,) = table[(table["method"] == "foreign-x") & (table["dataset"] == "mean")]["delta"]
        assert delta == pytest.approx(wanted, nan_ok=True)
        tested = paired_tests.tested(paired_tests.to_plaid(rows, [0]), some, ["scifact"])
        assert len(tested) == (0 if np.isnan(wanted) else 1)


def test_runs_of_other_engines_are_left_out_by_a_choice_of_methods_alone():
    some = [plaid(named([0.5] * 4)), foreign(), foreign("lateon"), foreign("other")]

    def shown(*chosen):
        return [row.model for row in tables.rows_of(some, *chosen) if row.method == "foreign-x"]

    assert shown([], [], []) == shown([], ["corpus"], []) == ["lateon", "other", records.NO_MODEL]
    assert shown(["lateon"], ["corpus"], []) == ["lateon", records.NO_MODEL]
    assert shown(["lateon"], [], ["muvera"]) == [] and shown([], [], ["foreign-x"]) == shown([], [], [])
