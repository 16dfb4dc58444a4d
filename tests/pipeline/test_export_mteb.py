"""Results in mteb's format: the right numbers, what is refused, and mteb itself reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cells import cell, drawn, named

from harness import records
from harness.cli import main
from harness.config import entries
from harness.export import mteb
from harness.system.errors import HarnessError

READER = Path(__file__).parents[1] / "support" / "read_by_mteb.py"
DATASET, COMMIT = {"name": "scifact", "split": "test"}, "c5e5c13c514056f89ee7b7bdf21d8eb89b166054"
LATEON = {"name": "lateon", "hub": "lightonai/LateOn", "revision": COMMIT, "path": None, "dim": 128}
SCORES = named([0.25, 0.5] * 150)
WORDS = ["export", "format=mteb", "model=answerai_colbert_small", "suite=beir3", "method=muvera", "center=none,corpus"]
WORDS += [f"results_dir={entries.ROOT / 'results'}", "depths=[0,100]"]


def scifact(method="muvera", scores=None, **others):
    """A record of all of SciFact."""
    options = {"config": {"model": LATEON, "dataset": DATASET}, "details": {"documents": 5183}, **others}
    return cell(method, scores or {"0": SCORES, "100": SCORES}, **options)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two rows of the committed records, on three data sets at two depths."""
    folder = tmp_path_factory.mktemp("mteb")
    assert main([*WORDS, f"output={folder}"]) == 0
    return folder


def test_a_result_has_the_numbers_of_its_record(tmp_path):
    ones = [1.0] * 300
    record = scifact(
        measures={"recall@100": {"0": ones, "100": ones}, "map": {"0": ones, "100": ones}}, seconds={"a": 2.0}
    )
    (path,) = mteb.export([record], [100, 200], tmp_path)
    place = "results/lightonai__LateOn"
    assert path == tmp_path / place / COMMIT / "experiments/center_corpus__method_muvera__rerank_depth_100/SciFact.json"
    found = json.loads(path.read_text())
    assert found["dataset_revision"] == "d56462d0e63a25450459c4f213e49ffdb866f7f9" and found["evaluation_time"] == 2.0
    assert found["scores"] == {
        "test": [
            {
                "main_score": 0.375,
                "ndcg_at_10": 0.375,
                "recall_at_100": 1.0,
                "map_at_1000": 1.0,
                "hf_subset": "default",
                "languages": ["eng-Latn"],
            }
        ]
    }
    meta = json.loads((path.parent / "model_meta.json").read_text())
    assert (meta["name"], meta["revision"], meta["embed_dim"]) == ("lightonai/LateOn", COMMIT, 128)
    assert meta["experiment_kwargs"] == {"center": "corpus", "method": "muvera", "rerank_depth": 100}


def test_of_several_draws_it_has_the_mean_and_says_so(tmp_path):
    draws = [[0.2] * 300, [0.4] * 300]
    options = {"config": {"model": LATEON, "dataset": DATASET}, "details": {"documents": 5183}}
    (path,) = mteb.export([drawn("muvera", {"0": draws}, (42, 43), **options)], [0], tmp_path)
    (scores,) = json.loads(path.read_text())["scores"]["test"]
    assert (scores["draws"], scores["main_score"]) == (2, pytest.approx(0.3))
    assert scores["ndcg_at_10_sd"] == pytest.approx(np.std([0.2, 0.4], ddof=1))


def test_a_model_is_named_by_what_was_read():
    folder = {**LATEON, "name": "mine", "path": "/some/folder"}
    given = scifact(model="mine", config={"model": folder}, identity={"weights": "ab" * 32})
    assert (mteb.Result(given, "0").model, mteb.Result(given, "0").revision) == ("local/mine", "ab" * 20)
    named = scifact(model="lateon_bf16", config={"model": {**LATEON, "name": "lateon_bf16"}})
    assert mteb.Result(named, "0").folder != mteb.Result(scifact(config={"model": LATEON}), "0").folder
    unpinned = scifact(config={"model": {**LATEON, "revision": "main"}}, identity={"weights": "cd" * 32})
    assert mteb.Result(unpinned, "0").revision == "cd" * 20
    method = {"name": "foreign-anserini", "run": "ef" * 32}
    run = scifact("foreign-anserini", model="no-model", config={}, identity={"method": method})
    assert (mteb.Result(run, "0").model, mteb.Result(run, "0").revision) == ("local/anserini", "ef" * 20)
    assert "rerank_depth" not in mteb.Result(scifact("plaid", {"final": SCORES}), records.FINAL).options


def test_notes_travel_with_the_scores(exported):
    for path in exported.rglob("SciFact.json"):
        assert "int8-rounded backbone" in json.loads(path.read_text())["scores"]["test"][0]["notes"][0]


def test_only_what_the_words_name_is_written(exported):
    found = {path.parent.name for path in exported.rglob("*.json")}
    assert found == {f"center_{c}__method_muvera__rerank_depth_{k}" for c in ("none", "corpus") for k in (0, 100)}
    assert len([path for path in exported.rglob("*.json") if path.name != "model_meta.json"]) == 12


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (scifact(dataset="cranfield"), "no task of mteb has the data of cranfield"),
        (scifact(details={"documents": 100}), "of 100 docs, but mteb's task has 5183"),
        (scifact(scores={"0": {"q": 1.0}}), "of 1 queries, but mteb's task has 300"),
    ],
)
def test_other_data_is_refused(tmp_path, record, sentence):
    with pytest.raises(HarnessError, match=sentence):
        mteb.export([scifact(), record], [0], tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_in_one_sentence(tmp_path, capsys):
    for more, sentence in (
        (["format=csv"], "format=csv: `export` knows mteb"),
        (["dataset=cranfield", "suite=demo"], "no task of mteb has the data of cranfield"),
        (["depths=[7]"], "no record has these depths"),
    ):
        assert main([*WORDS, *more, f"output={tmp_path}"]) == 2
        assert sentence in capsys.readouterr().err
    assert main([word for word in WORDS if word != "suite=beir3"]) == 2
    assert "export needs output=FOLDER" in capsys.readouterr().err


def test_each_task_stands_for_a_data_set_or_a_group():
    known = {*entries.choices("dataset"), *entries.choices("suite")}
    assert known >= mteb._known()["tasks"].keys() >= set(entries.entry("suite", "beir15")["datasets"])


def test_mteb_reads_them(exported):
    if not find_spec("mteb"):
        pytest.skip("mteb needs Python 3.11")
    process = subprocess.run([sys.executable, READER, exported], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    expected = {
        f"{record.center} {depth} {record.dataset}": record.ndcg10[depth]
        for record in records.read_all(entries.ROOT / "results", ("scifact", "nfcorpus", "arguana"))
        for depth in ("0", "100")
        if record.method == "muvera" and record.center in ("none", "corpus")
    }
    assert found == pytest.approx(expected) and len(found) == 12
