"""Each command once, on what one sweep of the tiny model measured: that the rooms fit together."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from harness import records
from harness.cli import main
from harness.config.entries import ROOT
from harness.geometry import file

PROJECTED = {(center, method) for center in ("none", "corpus", "own") for method in ("muvera", "smve")}


@pytest.fixture
def words(swept):
    """The words of a command that measures."""
    return swept[0]


@pytest.fixture
def shown(words):
    """The words of a command that shows what was measured."""
    return [word for word in words if word.split("=")[0] not in ("cache_dir", "progress")]


def test_run_writes_a_record_for_every_cell(swept):
    found = {(record.center, record.method): record for record in records.read_all(swept[1])}
    assert found.keys() >= PROJECTED | {("none", "exact"), ("none", "plaid")}
    exact = found["none", "exact"].per_query["final"]
    for cell in PROJECTED:  # all documents reranked
        assert found[cell].per_query["100"] == exact


def test_status_counts_what_is_done(words, capsys):
    assert main(["status", "-m", *words, "center=none,corpus", "method=exact,smve"]) == 0
    assert "4 of 4 cells done. Time left: none." in capsys.readouterr().out


@pytest.mark.parametrize("form", ["markdown", "csv", "latex"])
def test_table_shows_the_sweep(shown, capsys, form):
    assert main(["table", *shown, f"format={form}"]) == 0
    text = capsys.readouterr().out
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {row["method"] for row in rows} >= {"muvera", "smve"} and all(0 <= float(row["ndcg10"]) for row in rows)
    else:
        assert text.count("MUVERA") >= 3 and text.count("SMVE") >= 3


def test_score_gives_our_own_run_the_scores_of_its_record(words, swept, tmp_path, capsys):
    """Alone and reranked: a first stage is the same, whether it was searched here or read from a file."""
    (run,) = (swept[1] / "runs").rglob("corpus/muvera.rk0.trec.gz")
    ours = next(r for r in records.read_all(swept[1]) if (r.center, r.method) == ("corpus", "muvera"))
    places = [word for word in words if not word.startswith(("results_dir", "model"))]
    for model in ([], [word for word in words if word.startswith("model")]):
        assert main(["score", str(run), *places, *model, f"results_dir={tmp_path}", "name=ours"]) == 0
        record = next(r for r in records.read_all(tmp_path) if (r.model == "no-model") == (not model))
        for depth, values in record.ndcg10.items():
            assert values == ours.ndcg10[depth] and record.per_query[depth] == ours.per_query[depth]
    assert {*record.ndcg10} == {*ours.ndcg10} and "foreign-ours" in capsys.readouterr().out


def test_tables_of_tests_costs_and_queries(shown, capsys):
    assert main(["table", *shown, "significance=true", "cost=true"]) == 0
    text = capsys.readouterr().out
    assert "randomization test" in text and "First stage, ms / query" in text
    assert main(["table", *shown, "per_query=true"]) == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) >= 8 * (6 * 4 + 2)


def test_check_compares_the_committed_results_with_the_expected_values(capsys):
    assert main(["check", f"results_dir={ROOT / 'results'}"]) == 0
    text = capsys.readouterr().out
    assert "answerai_colbert_small" in text and "FAIL" not in text.split("\n\n")[0]


def test_report_and_plot_draw_the_sweep(shown, tmp_path, capsys):
    assert main(["report", *shown, f"output={tmp_path / 'report.html'}"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "lateon-like" in page and "Content-Security-Policy" in page
    assert main(["plot", *shown, "what=depth"]) == 0
    (drawn,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith("depth-tiny.svg")]
    assert "<svg" in Path(drawn).read_text()


def test_reproduce_measures_a_record_again(swept, lateon_like, tiny_dataset, capsys):
    words, results, cache = swept
    path = records.record_path(results, "tiny", "lateon-like", "own", "muvera")
    places = [f"models_dir={lateon_like.parent}", f"data_dir={tiny_dataset.parent}", f"cache_dir={cache}"]
    assert main(["reproduce", str(path), *places]) == 0
    assert "Verdict: same (all scores are equal to the last bit)." in capsys.readouterr().out


def test_geometry_reads_the_vectors_of_the_sweep(words, tmp_path):
    places = [word for word in words if word.split("=")[0] not in ("results_dir", "depths", "save_runs")]
    assert main(["geometry", *places, f"results_dir={tmp_path}"]) == 0
    found = file.read(file.path_of(tmp_path, "tiny", "lateon-like"))
    assert found["documents"].keys() >= {"raw", "centered"} and found["first_stages"].keys() == {"muvera", "smve"}


def test_train_trains_a_head(lateon_like, tiny_dataset, tmp_path):
    words = [f"model.path={lateon_like}", f"train_data.path={tiny_dataset}", f"cache_dir={tmp_path}", "progress=false"]
    words += ["train_data.split=test", "train_data.validation_share=0.4", "objective=ste_muvera"]
    words += ["train.batch_size=2", "train.max_steps=2", "train.trainable=head", f"train.output={tmp_path / 'run'}"]
    assert main(["train", *words]) == 0
    assert json.loads((tmp_path / "run" / "training.json").read_text())["after"]
    assert (tmp_path / "run" / "head.safetensors").exists()


def test_cache_lists_and_verifies_what_the_sweep_kept(swept, capsys):
    assert main(["cache", "ls", f"cache_dir={swept[2]}"]) == 0
    assert "| tokens | 3 |" in capsys.readouterr().out
    assert main(["cache", "verify", f"cache_dir={swept[2]}"]) == 0
    assert ", 0 damaged;" in capsys.readouterr().out


def test_bench_times_a_kernel(words, tmp_path, monkeypatch, capsys):
    from harness.bench import timing

    monkeypatch.setattr(timing, "_REST", 0)
    places = [word for word in words if word.split("=")[0] not in ("results_dir", "depths")]
    assert main(["bench", *places, f"results_dir={tmp_path}", "what=rerank", "runs=1"]) == 0
    assert "ours s" in capsys.readouterr().out


BAD = {
    "frobnicate": "unknown command 'frobnicate'",
    "run model=latoen": "unknown model 'latoen'; did you mean 'lateon'?",
    "run model=lateon method=muvera method.bits=five": "method.bits=five: expected a whole number, such as 5.",
    "table format=html": "format=html: expected one of markdown, csv, latex, json, mteb.",
    "table format=json": "format=json: `table` knows markdown, csv and latex.",
    "run format=json": "format=json: `run` knows markdown, csv and latex.",
    "score RUN.trec dataset=scifact format=json": "format=json: `score` knows markdown, csv and latex.",
    "reproduce /nowhere/smve.json": "the record /nowhere/smve.json does not exist",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_one_sentence(words, capsys):
    assert main(words.split()) == 2
    found = capsys.readouterr()
    assert found.err.startswith("error: ") and BAD[words] in found.err and found.err.count("\n") == 1


def test_a_model_that_is_not_there_is_one_sentence(tiny_dataset, tmp_path, capfd):
    places = [f"results_dir={tmp_path}/r", f"cache_dir={tmp_path}/c"]
    assert main(["run", "model.path=/nowhere", f"dataset.path={tiny_dataset}", *places]) in (1, 2)
    errors = capfd.readouterr().err
    assert "the model folder /nowhere does not exist" in errors and "Traceback" not in errors
