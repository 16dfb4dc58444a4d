"""Advice: bounds that hold for all configurations at once, costs of a configuration, the choice, and its words."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from cells import cell, named

from harness import records
from harness.advice import choice, sentences
from harness.advice.advice import Advice, Limits
from harness.advice.candidates import Candidate, candidates
from harness.cli import main
from harness.evaluation.significance import Deviation, deviations, lower_bounds
from harness.methods import registry
from harness.tables import Row, costs
from harness.tables.differences import Difference

SETS = ["scifact", "nfcorpus"]


def test_bounds_of_all_pairs_hold_together_at_the_level(rng):
    """60 queries, 2 data sets, 12 pairs that resemble each other: a bound is above the truth in about 5 % of cases."""
    truth = np.linspace(-3, 1, 12)
    held = []
    for repetition in range(300):
        sets = {name: truth + 3 * (rng.normal(size=(60, 1)) + rng.normal(size=(60, 12))) for name in SETS}
        held.append(bool((lower_bounds(sets, [()] * 12, 500, repetition) <= truth).all()))
    assert 0.90 < np.mean(held) < 0.99, np.mean(held)


def with_draws(rng, draws, repetitions=200):
    """How often the bounds of pairs with these draws hold together, and how far below the means they are (median)."""
    held, distances = [], []
    for repetition in range(repetitions):
        columns, moved_by = np.zeros((60, 6)), []
        for pair, count in enumerate(draws):
            values = rng.normal(0, 1, (count, 1)) + rng.normal(0, 3, 60) + rng.normal(0, 1, (count, 60))
            columns[:, pair] = values.mean(axis=0)
            moved_by.append(deviations({"a": (tuple(range(count)), values)}))
        bounds = lower_bounds({"a": columns}, moved_by, 1000, repetition)
        held.append(bool((bounds <= 0).all()))
        distances.append(columns.mean(axis=0) - bounds)
    return np.mean(held), np.median(distances, axis=0)


def test_bounds_hold_together_with_draws_and_few_draws_lower_their_own_bound_alone(rng):
    (held, even), (held_too, uneven) = with_draws(rng, [10] * 6), with_draws(rng, [2, 10, 10, 10, 10, 3])
    assert min(held, held_too) > 0.89
    assert uneven[1:5] == pytest.approx(even[1:5], rel=0.1)
    assert uneven[0] > 2 * uneven[5] > 4 * uneven[1]


def test_the_bound_of_one_pair_is_that_of_a_normal_mean(rng):
    values = rng.normal(0.2, 1, (400, 1))
    expected = values.mean() - 1.645 * values.std() / np.sqrt(400)
    assert lower_bounds({"a": values}, [()], 20_000)[0] == pytest.approx(expected, abs=0.004)


def test_draws_move_the_bounds_down(rng):
    values = {"a": rng.normal(0.2, 1, (400, 1))}
    [alone], [moved] = lower_bounds(values, [()]), lower_bounds(values, [[Deviation(0.5, 4)]])
    assert moved < alone - 0.5


def test_a_pair_that_never_differs_has_its_mean_as_bound(rng):
    values = np.stack([np.zeros(50), rng.normal(size=50)], axis=1)
    bounds = lower_bounds({"a": values}, [(), ()])
    assert bounds[0] == 0 and bounds[1] < values[:, 1].mean()


def candidate(method, depth, size, time, *deltas, model="lateon", draws=0):
    """Deltas: mean difference on each data set, with some noise, in points."""
    noise = np.random.default_rng(len(method)).normal(0, 0.01, 200)
    noise -= noise.mean()
    differences = {
        name: Difference(delta / 100 + noise, [((42,), (delta / 100 + noise)[None])])
        for name, delta in zip(SETS, deltas, strict=True)
    }
    row = Row(model, "none" if method == "plaid" else "corpus", method)
    return Candidate(row, depth, draws, size, time, differences)


@pytest.fixture
def several():
    return [
        candidate("plaid", "", 8000.0, 500.0, 0, 0),
        candidate("muvera", "0", 4000.0, 1.0, -20, -10),
        candidate("muvera", "50", 60_000.0, 3.0, -1, -0.8),
        candidate("smve", "0", 2000.0, 2.0, -9, -5),
        candidate("smve", "50", 50_000.0, 4.0, 0.0, 0.0),
        candidate("smve", "100", 50_000.0, 6.0, 0.1, 0.1),
    ]


def test_the_cheapest_that_passes_and_what_less_would_lose(several):
    advice = Advice.of("lateon", several, SETS, Limits(0.5))
    chosen = advice.cheapest["bytes"].candidate
    assert (chosen.row.method, chosen.depth) == ("smve", "50")  # as small as depth 100, and first
    fastest, cheaper = advice.cheapest["milliseconds"].candidate, advice.cheaper["milliseconds"].candidate
    assert (fastest.row.method, fastest.depth) == ("smve", "50")
    assert (cheaper.row.method, cheaper.depth) == ("muvera", "50")
    assert advice.plaid is several[0] and all(one.candidate.row.method != "plaid" for one in advice.judged)


def test_a_budget_leaves_the_others_out(several):
    advice = Advice.of("lateon", several, SETS, Limits(0.5, bytes=10_000.0))
    assert not advice.cheapest and advice.best.candidate.row.method == "smve"
    [first, nearest, plaid] = sentences.sentences(advice, SETS)
    assert first == "None of the 2 configurations within the budget is within 0.5 points of PLAID with 95 % confidence."
    assert "SMVE, center yes, not reranked (-7.00 points" in nearest and "7.8 KB per document" in plaid
    empty = Advice.of("lateon", several, SETS, Limits(0.5, milliseconds=0.1))
    assert "within the budget" in sentences.sentences(empty, SETS)[0] and sentences.table(empty).empty


def test_what_is_within_a_budget_and_passes_has_a_best(several):
    found = sentences.sentences(Advice.of("lateon", several, SETS, Limits(0.5, bytes=55_000.0)), SETS)
    assert any(one.startswith("The best within the budget: SMVE, center yes, 100 reranked (+0.10") for one in found)
    assert "PLAID itself is smaller." in found and "PLAID itself is faster." not in found


def test_pooled_documents_are_a_configuration_of_their_model(several):
    pooled = candidate(
        "plaid", "", 2000.0, 100.0, -0.1, -0.1, model="lateon+pool=hierarchical+pool_factor=4+query_length=48"
    )
    assert pooled.model == "lateon+query_length=48"  # whose PLAID is another one
    pooled = replace(pooled, row=replace(pooled.row, model="lateon+pool=hierarchical+pool_factor=4"))
    advice = Advice.of("lateon", [*several, pooled], SETS, Limits(0.5))
    text = sentences.sentences(advice, SETS)[0]
    assert "PLAID pool=hierarchical pool_factor=4 (-0.10 points" in text and advice.plaid is several[0]
    assert advice.as_json()["cheapest"]["bytes"]["model"].endswith("pool_factor=4")


def test_one_draw_and_rows_that_are_left_out_are_told(several):
    single = candidate("muvera", "1000", 100.0, 0.1, 0, 0, draws=1)
    found = sentences.sentences(Advice.of("lateon", [*several, single], SETS, Limits(0.5), unknown=2), SETS)
    assert found[-2].startswith("MUVERA: one draw of the random numbers was measured") and "seeds=5" in found[-2]
    assert found[-1] == "2 rows were left out: not measured on every data set, or without costs."


def test_what_rests_on_one_draw_is_not_called_more(several):
    single = candidate("muvera", "1000", 100.0, 0.1, 0, 0, draws=1)
    advice = Advice.of("lateon", [*several, single], SETS, Limits(0.5))
    first = sentences.sentences(advice, SETS)[0]
    assert first.startswith("The smallest within 0.5 points of PLAID, with 95 % confidence for the one draw that was")
    drawn = candidate("muvera", "1000", 100.0, 0.1, 0, 0, draws=10)
    shown = [sentences.table(Advice.of("lateon", [*several, one], SETS, Limits(0.5))) for one in (single, drawn)]
    assert [table["Draws"].tolist()[0] for table in shown] == ["1", "10"] and set(shown[0]["Draws"][1:]) == {""}


def test_the_frontier_has_those_that_nothing_beats(several):
    worse = candidate("muvera", "100", 60_000.0, 7.0, -0.5, -0.5)  # larger, slower and worse than smve at 100
    found = Advice.of("lateon", [*several, worse], SETS, Limits(0.5)).frontier
    assert [(one.candidate.row.method, one.candidate.depth) for one in found] == [
        ("smve", "0"),
        ("muvera", "0"),
        ("smve", "50"),
        ("smve", "100"),
        ("muvera", "50"),
    ]


def test_what_was_chosen_without_a_set_is_looked_at_on_it():
    misleading = [
        candidate("plaid", "", 8000.0, 500.0, 0, 0),
        candidate("muvera", "0", 4000.0, 1.0, 0, -9),
        candidate("smve", "0", 6000.0, 2.0, 0, 0),
    ]
    found = choice.left_out(misleading, SETS, 0.5)
    assert found["bytes"] == [("scifact", True), ("nfcorpus", False)]  # without nfcorpus, MUVERA looks best
    text = " ".join(sentences.sentences(Advice.of("lateon", misleading, SETS, Limits(0.5)), SETS))
    assert "such advice held on 1 of 2 sets left out (not on nfcorpus)." in text
    assert sentences._trust([("scifact", True)], 3)[0].endswith("; if one of the other 2 is left out, nothing passes.")
    assert sentences._trust([("scifact", True)], 2)[0].endswith("; if the other one is left out, nothing passes.")


def test_reranking_needs_the_token_vectors_and_its_share_of_the_pass():
    sizes = {"bytes": {"index": 4000, "tokens": 30_000}, "details": {"documents": 10}}
    plaid = cell("plaid", {"final": named([0.6, 0.5])}, "none", seconds={"plaid_search": 1.0}, **sizes)
    seconds = {"muvera_encode_queries": 0.002, "muvera_search": 0.004, "rerank": 0.08}
    scores = dict.fromkeys(("0", "50", "200"), named([0.5, 0.5]))
    method = cell("muvera", scores, seconds=seconds, **sizes)
    rows = [Row(record.model, record.center, record.method) for record in (plaid, method)]
    found = {one.depth: one for one in candidates([plaid, method], rows, ["scifact"], [0, 50, 100, 200])}
    assert found.keys() == {"", "0", "50", "200"}  # 100 was not measured
    assert (found["0"].bytes, found["0"].milliseconds) == (400, pytest.approx(3))
    assert (found["50"].bytes, found["50"].milliseconds) == (3400, pytest.approx(3 + 40 * 50 / 200))
    assert found["200"].milliseconds == pytest.approx(43) and found[""].milliseconds == pytest.approx(500)


def test_a_share_of_the_pass_is_that_of_the_documents_that_were_scored():
    """By hand: two queries with 20 and 60 candidates; the pass scored 80 documents, the first 40 of each are 60."""
    seconds, scores = {"muvera_search": 0.0, "rerank": 0.08}, dict.fromkeys(("0", "40", "1000"), named([0.5, 0.5]))
    record = cell("muvera", scores, seconds=seconds, candidates={"mean": 40.0})
    cost = costs.Cost(0.0, 0.0, 0.0, 0.0, 40.0)
    assert costs.milliseconds_at(record, "40", cost) == 40 >= 40 * 60 / 80
    assert costs.milliseconds_at(record, "1000", cost) == 40  # never more than the pass


@pytest.fixture
def measured(tmp_path, some_records):
    for record in some_records:
        records.write(tmp_path, record)
    return ["advise", "dataset=scifact", f"results_dir={tmp_path}", "depths=[0,50]"]


@pytest.fixture
def some_records():
    details = {"documents": 10, "document_tokens": 150}
    costs = {"bytes": {"index": 4000, "tokens": 30_000}, "details": details, "candidates": {"asked": 50}}
    scores = {"0": named([0.3] * 40), "50": named([0.5] * 40)}
    return [
        cell("plaid", {"final": named([0.5] * 40)}, "none", seconds={"plaid_search": 4.0}, **costs),
        cell("muvera", scores, seconds={"muvera_search": 0.4, "rerank": 0.2}, **costs),
    ]


def test_the_command_prints_advice_and_json(measured, capsys):
    assert main(measured) == 0
    text = capsys.readouterr().out
    assert "The smallest within 0.5 points of PLAID, with 95 % confidence: MUVERA, center yes, 50 reranked" in text
    assert "It rests on one data set" in text
    assert main([*measured, "format=json", "loss=30"]) == 0
    [advice] = json.loads(capsys.readouterr().out)["advice"]
    chosen = advice["cheapest"]["bytes"]
    assert chosen["depth"] == "0" and chosen["difference"] == pytest.approx(-20)
    assert advice["hosts"] == ["? cores, ? threads"]


def test_plaid_without_costs_is_named_as_the_reason(tmp_path, some_records, capsys):
    plaid, method = some_records
    for record in (replace(plaid, bytes={}), method):
        records.write(tmp_path, record)
    assert main(["advise", "dataset=scifact", f"results_dir={tmp_path}", "depths=[0,50]"]) == 2
    assert f"the records of PLAID in {tmp_path} have no bytes or seconds" in capsys.readouterr().err
    assert main(["advise", "dataset=scifact", f"results_dir={tmp_path}", "loss=.inf"]) == 2
    assert "loss=.inf: expected a number of points from 0 up" in capsys.readouterr().err


def test_pooled_records_are_judged_by_the_models_own_plaid(measured, tmp_path, some_records, capsys):
    pooled = cell("exact", {"final": named([0.5] * 40)}, "none", model="lateon+pool=hierarchical", **costs_of("exact"))
    records.write(tmp_path, pooled)
    records.write(tmp_path, cell("smve", {"0": named([0.3] * 40)}))  # without costs
    assert main([*measured, "format=json"]) == 0
    [advice] = json.loads(capsys.readouterr().out)["advice"]
    assert advice["model"] == "lateon" and advice["not_measured_everywhere"] == 1
    assert advice["cheapest"]["bytes"]["model"] == "lateon+pool=hierarchical"


def costs_of(method):
    details = {"documents": 10, "document_tokens": 150}
    return {"bytes": {"index": 400, "tokens": 400}, "details": details, "seconds": {f"{method}_search": 0.01}}


def test_the_command_refuses_what_it_cannot_use(measured, tmp_path, capsys):
    assert main([*measured, "format=latex"]) == 2 and "knows markdown and json" in capsys.readouterr().err
    assert main([*measured, "index=sq8"]) == 2 and "does not read" in capsys.readouterr().err
    assert main([*measured, "loss=-1"]) == 2 and "a number of points from 0 up" in capsys.readouterr().err
    (tmp_path / "records" / "scifact" / "lateon" / "none" / "plaid.json").unlink()
    assert main(measured) == 2 and "no model has PLAID on all of scifact" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "measures"), [("y", True), ("n", False), ("", False)])
def test_what_a_named_model_lacks_is_measured_after_a_question(measured, answer, measures, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("harness.run.run", lambda cells: asked.extend(cells) or [])
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main([*measured, "model=lateon"]) == 0
    told = capsys.readouterr().err
    assert (
        "cells lack a measurement or some of 5 draws (" in told
        and "LEMUR" in told
        and "Measure them now? [y/N]" in told
    )
    assert {cell.method.name for cell in asked} == (set(registry.all_methods()) if measures else set())
    assert all(cell.dataset.name == "scifact" and cell.model.name == "lateon" for cell in asked)
    assert all(cell.method.seeds == {"lemur": 5, "muvera": 5, "smve": 5} for cell in asked)


def test_nobody_is_asked_where_nobody_can_answer(measured, monkeypatch, capsys):
    monkeypatch.setattr("harness.run.run", lambda cells: pytest.fail("measured"))
    monkeypatch.setattr("sys.stdin", StringIO())
    assert main([*measured, "model=lateon"]) == 0
    told = capsys.readouterr().err
    assert "cells lack a measurement" in told and "Measure them now?" not in told


class Terminal(StringIO):
    """A standard input at which somebody sits."""

    def isatty(self):
        return True
