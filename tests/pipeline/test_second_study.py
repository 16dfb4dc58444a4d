"""The second training study: its words compose, its rule chooses, and its report works on what has been measured."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scripts
import torch
from safetensors.torch import load_file, save

from harness import records
from harness.config import compose
from harness.evaluation.significance import compare
from harness.models import heads
from harness.system.files import write_arrays, write_json, write_text

FOLDER = Path(__file__).parents[2] / "studies" / "ste2"


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Its modules, with results in a temporary folder."""
    names = ("arms", "measure", "rule", "comparisons", "claims", "report", "study")
    found = SimpleNamespace(**dict(zip(names, scripts.of_study(monkeypatch, "ste2", *names), strict=True)))
    monkeypatch.setattr(found.report, "RESULTS", tmp_path)
    for name in ("ARRAYS", "GEOMETRY", "WEIGHTS"):
        monkeypatch.setattr(found.report, name, tmp_path / getattr(found.report, name).name)
    monkeypatch.setattr(found.comparisons, "compare", partial(compare, resamples=400))  # as many as a test needs
    return found


def test_it_starts():
    found = subprocess.run([sys.executable, FOLDER / "study.py"], capture_output=True, text=True)
    assert found.returncode == 2 and "studies/ste2/study.py choose" in found.stderr, found.stderr


def test_tasks_run_in_several_processes(study):
    tasks = [partial(str.split, "one failed"), partial(str.split, ""), partial(str.split, "another")]
    assert study.study.done(tasks, 2, ["device=cpu"]) == ["one", "failed", "another"]


def test_every_arm_has_a_name_a_control_and_words_that_compose(study):
    arms = study.arms.arms()
    assert len({arm.name for arm in arms}) == len(arms) == 3 * 13
    assert {arm.run for arm in arms[: len(arms) // 3]} == {0} and all(arm.control in arms for arm in arms)
    for arm in arms[:13]:
        left_out = (*study.arms.DOMAINS[arm.domain], *study.arms.LEFT_OUT)
        options = compose.composed(study.arms.training(replace(arm, run=1), 5e-5, left_out))
        assert options.train.trainable == arm.capacity and not set(left_out) & set(options.train_data.sources)
        assert options.train.seed == 1 and options.objective.get("codes", {}).get("seed", 1001) == 1001
        assert options.train.learning_rate == 5e-5 and options.model.dtype == "bfloat16"
        pairs = sum(source["pairs"] for source in options.train_data.sources.values())
        assert 0.9 * pairs > options.train.max_steps * options.train.batch_size  # a tenth validates
        assert options.objective.query_tokens == ("all" if arm == arm.control else "real")


def test_the_cells_of_an_arm_compose(study):
    """The card's recipe and the best one on every set, and SMVE where it was trained for or is a control."""
    arm = study.arms.Arm("layers:12", "out", "ste_smve", 0)
    for dataset, count in (("scifact", 4), ("cranfield", 10)):
        cells = [compose.composed([*study.measure.MODEL, *words]) for words in study.measure._cells(arm, dataset)]
        assert len(cells) == count and {"corpus", "shrunk"} <= {cell.center.name for cell in cells}
    untrained = [*study.measure._cells(None, "scifact")]
    assert ["method=plaid"] in untrained and ["method=plaid"] not in [*study.measure._cells(arm, "scifact")]
    assert study.measure.datasets_of(arm) == study.measure.datasets_of(None) == study.measure.DATASETS
    assert study.measure.datasets_of(replace(arm, domain="in")) == ("nq-open-gold", "scifact")


def test_the_rule_keeps_exact_maxsim(study):
    measured = study.rule.Measured
    start = measured(0.500, 0.30)
    candidates = {1e-5: measured(0.499, 0.32), 5e-5: measured(0.498, 0.34), 2e-4: measured(0.49, 0.50)}
    assert study.rule.choose(candidates, start) == 5e-5
    candidates[5e-5] = candidates[1e-5]
    assert study.rule.choose(candidates, start) == 1e-5
    assert study.rule.choose({2e-4: measured(0.45, 0.6), 1e-3: measured(0.4, 0.7)}, start) == 2e-4


def made_up(study, capacities, runs, gains):
    """Scores of made-up records; `gains`: (judge, method) -> what training adds for every query."""
    rng, found = np.random.default_rng(4), []
    for arm in (*study.arms.arms(capacities), None):
        if arm and arm.run not in runs:
            continue
        for dataset in study.comparisons.DATASETS:
            queries = np.random.default_rng(len(dataset)).uniform(0.2, 0.6, 40)
            for method, center, depth in (
                ("muvera", "corpus", "0"),
                ("muvera", "shrunk+query_tokens=words", "0"),
                ("smve+anchors=hadamard+keep=16+width=16384", "corpus", "0"),
                ("plaid", "none", records.FINAL),
            ):
                added = gains.get((arm and arm.objective, method.split("+")[0]), 0.0)
                values = queries + added + rng.normal(0, 0.02, 40)
                per_query = {"queries": [f"q{n}" for n in range(40)], depth: values.tolist()}
                more = {"per_query": per_query, "ndcg10": {depth: values.mean()}, "dataset": dataset, "center": center}
                model = f"answerai_colbert_small+head={arm.name}" if arm else "answerai_colbert_small"
                more["identity"] = {"weights": model}
                found.append(SimpleNamespace(model=model, method=method, **more))
    return study.report.scores(found)


def test_the_report_finds_what_was_made_up(study, tmp_path):
    gains = {("ste_muvera", "muvera"): 0.03, ("ste_smve", "smve"): 0.02, ("ste_muvera", "plaid"): -0.02}
    arrays = made_up(study, ("head", "layers:12"), (0, 1, 2), gains)
    found = study.comparisons.primary(arrays).set_index("No.")
    assert found["Verdict"].tolist()[:2] == ["holds", "holds"] and found["Verdict"]["5"] == "holds"
    assert found["Verdict"]["3"] != "holds" and found["Verdict"]["4"] != "holds"  # no capacity or domain gains more
    assert found["Verdict"]["6"] == "does not hold"  # PLAID fell by two points
    assert float(found["Points"]["1"]) == pytest.approx(3, abs=0.3) and (found["Runs"] == "3").all()
    write_arrays(study.report.ARRAYS, **arrays)
    study.report.write()
    assert "| 6 | PLAID does not fall |" in (tmp_path / "primary.md").read_text()
    assert "| MUVERA alone rises | primary, 1 | holds |" in (tmp_path / "claims.md").read_text()
    assert "| head | out | ste_muvera | contrastive | muvera | corpus | 8 |" in (tmp_path / "alone.md").read_text()
    others = (tmp_path / "comparisons.csv").read_text().splitlines()
    assert any(line.startswith("head,out,ste_muvera,contrastive,muvera,corpus,0,8,") for line in others)
    assert "head-out-ste_muvera-0,corpus,muvera,0," in (tmp_path / "means.csv").read_text()


def test_records_with_other_queries_are_refused(study):
    more = {"dataset": "npl", "model": "m+head=x", "method": "exact", "center": "none", "ndcg10": {records.FINAL: 1.0}}

    def record(query):
        return SimpleNamespace(per_query={"queries": [query], records.FINAL: [1.0]}, **more)

    with pytest.raises(ValueError, match="npl: the records have different queries"):
        study.report.scores([record("a"), record("b")])
    with pytest.raises(ValueError, match="x: the records are of two trainings"):
        study.report.fingerprints([("m+head=x", {"weights": "1"}), ("m+head=x", {"weights": "2"})])


def test_fewer_runs_than_planned_have_no_verdict(study):
    arrays = made_up(study, ("head", "layers:12"), (0,), {("ste_muvera", "muvera"): 0.03})
    found = study.comparisons.primary(arrays).set_index("No.")
    assert found["Verdict"]["1"] == "open: 1 of 3 runs" and found["Runs"]["1"] == "1"


def test_a_trained_file_is_rounded_and_keeps_what_was_trained(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study.study, "head", lambda name: tmp_path / name / "head.safetensors")

    def write(words):
        path = Path(words[-1].removeprefix("train.output=")) / "head.safetensors"
        path.parent.mkdir()
        path.write_bytes(save({"1.linear.weight": torch.full((2, 2), 1 / 3)}, {"trained": "layers:12"}))
        return 0

    monkeypatch.setattr(study.study.cli, "main", write)
    assert study.study._trained("arm", []) == []
    path = tmp_path / "arm" / "head.safetensors"
    assert load_file(path)["1.linear.weight"].dtype == torch.float16 and heads.trained(path) == "layers:12"


def test_a_scratch_keeps_only_what_arms_share(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study.measure, "runs", lambda: tmp_path)
    for capacity, kept in (("layers:12", False), ("layers:1", True)):
        arm = study.arms.Arm(capacity, "out", "ste_muvera", 0)
        scratch = study.measure._scratch(arm, "npl")
        for name in ("tokens/backbone-1", "tokens/other", "stages/npl"):
            (scratch / name).mkdir(parents=True)
        study.measure._clear(scratch, arm)
        assert [path.name for path in scratch.glob("*/*")] == (["backbone-1"] if kept else [])


def test_the_report_works_on_what_has_been_measured(study):
    arrays = made_up(study, ("head",), (0,), {("ste_muvera", "muvera"): 0.03})
    found = study.comparisons.primary(arrays).set_index("No.")
    assert found["Verdict"].str.startswith("not measured").all()
    others = study.comparisons.exploratory(arrays)
    one = others[(others["Trained"] == "ste_muvera") & (others["Measured"] == "muvera") & (others["Sets"] == 8)]
    assert (one["Runs"] == "1").all() and set(one["Against"]) == {"contrastive", "untrained"}
    assert one["Points"].astype(float).to_numpy() == pytest.approx(3, abs=0.5)
    assert study.comparisons.primary({})["Verdict"].str.startswith("not measured").all()


def test_sets_that_are_no_group_of_the_plan_are_compared_too(study):
    arrays = made_up(study, ("head",), (0,), {("ste_muvera", "muvera"): 0.03})
    some = {key: values for key, values in arrays.items() if not key.startswith(("npl/", "scifact/head-out-contr"))}
    others = study.comparisons.exploratory(some)
    one = others[(others["Trained"] == "ste_muvera") & (others["Measured"] == "muvera") & (others["rk"] == 0)]
    assert set(zip(one["Against"], one["Sets"], strict=True)) >= {("contrastive", 6), ("untrained", 7)}
    table = study.report.means(some).set_index(["Model", "Method"])
    assert table.loc[("head-out-ste_muvera-0", "muvera"), "npl"].isna().all()
    assert table.loc[("head-out-ste_muvera-0", "muvera"), "Mean"].isna().all()


def test_runs_that_were_measured_count_whichever_they_are(study):
    """The first run lacks a data set: its gain is over the others, that of all sets over the other run."""
    arrays = made_up(study, ("head",), (0, 2), {("ste_muvera", "muvera"): 0.03})
    some = {key: values for key, values in arrays.items() if not key.startswith("npl/head-out-contrastive-0")}
    others = study.comparisons.exploratory(some)
    cell = (others["Trained"] == "ste_muvera") & (others["Measured"] == "muvera") & (others["rk"] == 0)
    found = others[cell & (others["Against"] == "contrastive") & (others["Center"] == "corpus")]
    assert {(8, "1"), (7, "2")} <= set(zip(found["Sets"], found["Runs"], strict=True))
    shown = study.report.alone(others)
    line = shown[(shown["Trained"] == "ste_muvera") & (shown["Measured"] == "muvera") & (shown["Center"] == "corpus")]
    assert set(zip(line["Against"], line["Sets"], line["Runs"], strict=True)) == {
        ("contrastive", "7", "2"),
        ("untrained", "8", "2"),
    }


def test_a_methods_name_says_how_it_differs_from_the_studys_own(study):
    own = {"smve+anchors=hadamard+keep=16+width=16384": "smve", "muvera": "muvera", "plaid": "plaid"}
    others = {
        "smve+anchors=hadamard": "smve+default",
        "smve+anchors=hadamard+keep=64+width=16384": "smve+keep=64+width=16384",
        "muvera+bits=6": "muvera+bits=6",
    }
    assert {name: study.report.method_of(name) for name in {**own, **others}} == {**own, **others}


def test_every_claim_has_a_line_for_each_base(study):
    arrays = made_up(study, ("layers:12",), (0, 1, 2), {("ste_muvera", "muvera"): 0.03, ("ste_smve", "muvera"): 0.02})
    names = ["untrained", *(f"layers12-out-{name}-{run}" for run in (0, 1) for name in ("ste_muvera", "contrastive"))]
    ranks = dict(zip(names, (10.0, 8.0, 5.0, 9.0, 5.0), strict=True))
    lines = [
        {"Model": name, "Data set": "nfcorpus", "Space": "raw", "stable_rank": rank, "top_share": rank / 100}
        for name, rank in ranks.items()
    ]
    lines += [{**line, "Space": "centered"} for line in lines]
    found = study.claims.table(arrays, study.comparisons.primary(arrays), study.report.pd.DataFrame(lines))
    by_claim = found.set_index("Claim")
    assert by_claim.loc["MUVERA alone rises", "Verdict"] == "holds"
    carried = by_claim.loc["It carries over to the other method (SMVE to MUVERA)"].set_index("Test")["Points"]
    assert carried.astype(float).to_list() == pytest.approx([2, 2], abs=0.3)
    assert [*carried.index] == [f"exploratory, 8 sets, over {base}" for base in ("its control", "the untrained model")]
    falls = by_claim.loc["Fewer dimensions: stable rank, raw"].set_index("Test")["Points"]
    assert falls["exploratory, over the untrained model"] == "-15.0 ± 7.1 %"
    assert falls["exploratory, over its control"] == "+70.0 ± 14.1 %"
    share = by_claim.loc["Fewer dimensions: share of the first direction, raw"].set_index("Test")["Points"]
    assert share["exploratory, over the untrained model"] == "-1.5 ± 0.7 points"
    unmeasured = by_claim.loc["It carries over to 1-bit codes", "Verdict"]
    assert unmeasured.str.startswith("not measured (nfcorpus/layers12-out-ste_muvera-0/corpus/binary/0").all()


def test_the_family_of_the_tests_is_the_plans(study, monkeypatch):
    """Gains that are not measured count, too."""
    asked = []
    monkeypatch.setattr(study.comparisons, "holm", lambda values: asked.append(list(values)) or list(values))
    study.comparisons.primary(made_up(study, ("layers:12",), (0,), {("ste_muvera", "muvera"): 0.03}))
    assert len(asked[0]) == 5 and asked[0].count(1.0) == 1  # the head is not measured


def test_what_another_machine_measured_is_kept(study, monkeypatch, tmp_path):
    """Model b has the same weights, so its other scores stay. Model c was trained again, so none of its scores stay."""
    old = [f"{dataset}/{model}/none/exact/0" for model in "abc" for dataset in ("npl", "scifact")]
    write_arrays(study.report.ARRAYS, **dict.fromkeys(old, np.ones(2)))
    write_json(study.report.WEIGHTS, {"a": "1", "b": "2", "c": "3"})
    lines = [
        {"Model": model, "Data set": dataset, "Space": "raw", "dim": 8} for model in "abc" for dataset in ("x", "y")
    ]
    write_text(study.report.GEOMETRY, study.report.pd.DataFrame(lines).to_csv(index=False))

    cell = {"dataset": "npl", "method": "exact", "center": "none", "ndcg10": {records.FINAL: 1.0}}
    scores = {"per_query": {"queries": ["q"], records.FINAL: [5.0]}}
    found = []
    for model, weights in (("b", "2"), ("c", "4")):
        measured = {"model": f"m+head={model}", "identity": {"weights": weights}}
        found.append(SimpleNamespace(**measured, **cell, **scores))
        geometry = {**measured, "dataset": "x", "documents": {"raw": {"dim": 9}}}
        write_json(tmp_path / "geometry" / "x" / f"{model}.json", geometry)
    monkeypatch.setattr(study.report.records, "read_all", lambda *given: iter(found))
    monkeypatch.setattr(study.report, "folder", lambda: tmp_path)
    study.report.collect()
    kept = {key: values.sum() for key, values in study.report.read_arrays(study.report.ARRAYS).items()}
    assert kept == {**dict.fromkeys(old[:2], 2), old[2]: 5, old[3]: 2, old[4]: 5}
    assert json.loads(study.report.WEIGHTS.read_text()) == {"a": "1", "b": "2", "c": "4"}
    shapes = study.report.pd.read_csv(study.report.GEOMETRY)
    of = {(line["Model"], line["Data set"]): line["dim"] for line in shapes.to_dict("records")}
    assert of == {("a", "x"): 8, ("a", "y"): 8, ("b", "x"): 9, ("b", "y"): 8, ("c", "x"): 9}


def test_committed_weights_are_measured_where_none_were_trained(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study.arms, "runs", lambda: tmp_path)
    name = "head-out-ste_muvera-0"
    assert study.arms.weights(name).parent == FOLDER.parents[1] / "results" / "ste2" / "heads"
    study.arms.head(name).parent.mkdir()
    study.arms.head(name).touch()
    assert study.arms.weights(name) == study.arms.head(name)
    assert study.arms.weights("layers12-out-ste_muvera-0") == study.arms.head("layers12-out-ste_muvera-0")


def test_a_choice_without_measurements_is_refused(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study.study, "runs", lambda: tmp_path)
    with pytest.raises(SystemExit, match="untrained was not measured on climate-fever-evidence and pubmedqa-labeled"):
        study.study.keep_choice(["head"])


def test_a_choice_for_one_capacity_keeps_those_of_the_others(study, monkeypatch, tmp_path):
    module, measured = study.study, study.rule.Measured
    for name in ("CHOSEN", "CHOICE"):
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(module, "chosen", lambda: json.loads((tmp_path / "CHOSEN").read_text() or "{}"))
    (tmp_path / "CHOSEN").touch()
    monkeypatch.setattr(module, "_on_left_out", lambda name: measured(0.5, 0.1 + len(name) / 100))
    for capacities in (["head"], ["adapter"], ["head"]):
        module.keep_choice(capacities)
    table = pd.read_csv(tmp_path / "CHOICE")
    assert table["Capacity"].value_counts().to_dict() == {"head": 3, "adapter": 3, "untrained": 1}
    assert json.loads((tmp_path / "CHOSEN").read_text()).keys() == {"head", "adapter"}


def test_the_spread_of_geometry_is_that_of_the_runs(study):
    ranks = {"untrained": (4.0, 6.0), "head-out-ste_muvera-0": (1.0, 3.0), "head-out-ste_muvera-1": (3.0, 5.0)}
    lines = [
        {"Model": model, "Data set": dataset, "Space": "raw", **dict.fromkeys(study.report.SHAPES, rank)}
        for model, both in ranks.items()
        for dataset, rank in zip(("npl", "scifact"), both, strict=True)
    ]
    found = study.report.spread(study.report.pd.DataFrame(lines)).set_index("Model")
    assert found["Stable rank"].to_dict() == {"head-out-ste_muvera": "3.00 ± 1.41", "untrained": "5.00"}
    assert found["Runs"].to_dict() == {"head-out-ste_muvera": "2", "untrained": "1"}


def test_geometries_become_a_table(study):
    raw = {"stable_rank": 1.5, "mean_pairwise_cosine": 0.7}
    made = [{"model": "m+head=head-out-ste_muvera-1", "dataset": "nfcorpus", "documents": {"raw": raw, "n": 3}}]
    (line,) = study.report.shapes(made).to_dict("records")
    assert line == {"Model": "head-out-ste_muvera-1", "Data set": "nfcorpus", "Space": "raw", **raw}
