"""The whole pipeline through the command line, on a tiny model of LateOn's architecture and a tiny data set."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import reference

from harness import records
from harness.cli import main
from harness.config.entries import ROOT


@pytest.fixture
def measured(swept):
    """Every method under every centering: (words of the command, results folder, cache folder)."""
    return swept


def cell(results, center, method):
    return records.read(records.record_path(results, "tiny", "lateon-like", center, method))


def test_every_cell_has_its_record(measured):
    found = {(r.center, r.method) for r in records.read_all(measured[1])}
    projections = {(center, method) for center in ("none", "corpus", "own") for method in ("muvera", "smve")}
    assert found == projections | {("none", "exact"), ("none", "plaid")}


def test_a_record_says_what_was_done(measured):
    record = cell(measured[1], "own", "muvera")
    assert list(record.ndcg10) == list(record.per_query)[1:] == ["0", "5", "20", "100"]
    for depth, mean in record.ndcg10.items():
        assert mean == pytest.approx(np.mean(record.per_query[depth]), abs=1e-15)
    assert record.per_query["queries"] == [*(f"q{i}" for i in range(7)), "d9"]
    assert record.candidates == {
        "asked": 100,
        "fewest": 59,
        "mean": (7 * 60 + 59) / 8,
        "queries_with_fewer": 0,
        "self_matches_removed": 1,
    }
    assert {"encode_documents", "encode_queries", "muvera_search", "rerank", "center"} <= set(record.seconds)
    assert record.bytes["index"] == 60 * 20 * 32 * 16 * 4
    assert record.notes == ["mu_Q: 5 of 5 queries of tiny/train"]
    assert record.versions["fast-plaid"] and record.host["threads"] and len(record.identity["weights"]) == 64
    assert record.config["method"]["repetitions"] == 20
    assert str(measured[2]) not in json.dumps(dataclasses.asdict(record))  # no folders of this machine
    assert record.config["model"]["path"] == "lateon-like"
    assert record.candidate_recall["100"] == pytest.approx(1.0)


def test_reranking_all_documents_equals_exact_search(measured):
    _, results, _ = measured
    exact = cell(results, "none", "exact")
    for center in ("none", "corpus", "own"):
        for method in ("muvera", "smve"):
            found = cell(results, center, method)
            assert found.per_query["100"] == exact.per_query["final"]
            assert found.per_query["0"] != exact.per_query["final"]


def test_scores_equal_the_references_from_token_vectors_on(measured, tiny_dataset):
    """Exact search from the stored vectors by triple loop, self match out, ties by id, NDCG by hand."""
    from harness.data import beir
    from harness.vectors.store import open_store

    _, results, cache = measured
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    docs = open_store(next((cache / "tokens").glob("lateon-like-tiny-documents-*[!k]")))
    queries = open_store(next((cache / "tokens").glob("lateon-like-tiny-queries-*[!k]")))
    wanted = []
    for row, query in enumerate(dataset.queries):
        scores = [np.float32(reference.maxsim(queries[row], docs[d])) for d in range(len(docs))]
        ranked = [name for name in reference.rank(scores, list(dataset.docs)) if name != query]
        wanted.append(reference.ndcg(ranked, dataset.qrels[query]))
    np.testing.assert_allclose(cell(results, "none", "exact").per_query["final"], wanted, atol=1e-9)


def test_run_files_are_written_for_a_finished_cell(measured):
    words, results, _ = measured
    path = results / "runs" / "tiny" / "lateon-like" / "none" / "muvera.rk0.trec.gz"
    content = gzip.decompress(path.read_bytes())
    for file in path.parent.glob("muvera*"):
        file.unlink()
    assert main(["run", *words, "center=none", "method=muvera", "save_runs=true"]) == 0
    assert gzip.decompress(path.read_bytes()) == content


def test_a_record_to_a_lesser_depth_is_measured_again(measured):
    words, results, _ = measured
    less = [word for word in words if not word.startswith("depths")]
    path = records.record_path(results, "tiny", "lateon-like", "none", "exact")
    assert main(["run", *less, "depths=[0,5]", "method=exact", "overwrite=true"]) == 0
    assert records.read(path).candidates["asked"] == 10
    assert main(["run", *words, "method=exact"]) == 0
    assert records.read(path).candidates["asked"] == 100


def test_run_files_hold_the_ranking(measured):
    _, results, _ = measured
    path = results / "runs" / "tiny" / "lateon-like" / "corpus" / "smve.rk20.trec.gz"
    with gzip.open(path, "rt") as file:
        lines = [line.split() for line in file]
    assert len(lines) == 7 * 60 + 59
    scores = [float(line[4]) for line in lines if line[0] == "q0"]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == len(scores)
    assert not [line for line in lines if line[0] == line[2]]


def test_finished_cells_are_not_computed_again(measured, capsys):
    words, results, _ = measured
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}
    assert main(["run", "-m", *words, "center=none,own", "method=muvera,exact"]) == 0
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*.json")} == before
    assert main(["run", *words, "method=smve", "overwrite=true"]) == 0
    changed = {path.stem for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"smve"}  # and not the reference


def test_memory_and_threads_do_not_change_a_score(measured, tmp_path):
    words, results, _ = measured
    other = [word for word in words if not word.startswith("results_dir")]
    assert (
        main(
            [
                "run",
                "-m",
                *other,
                f"results_dir={tmp_path}",
                "memory_mb=1",
                "threads=1",
                "method=muvera,smve",
                "overwrite=true",
            ]
        )
        == 0
    )
    for method in ("muvera", "smve"):
        assert cell(tmp_path, "corpus", method).per_query == cell(results, "corpus", method).per_query


def test_more_depths_are_added_to_a_record(measured):
    words, results, _ = measured
    few = [word for word in words if not word.startswith("depths")]
    assert main(["run", *few, "depths=[0,7]", "method=smve", "method.seed=5"]) == 0
    variant = records.record_path(results, "tiny", "lateon-like", "corpus", "smve+seed=5")
    assert list(records.read(variant).ndcg10) == ["0", "7"]
    assert main(["run", *few, "depths=[0,9]", "method=smve", "method.seed=5"]) == 0
    assert list(records.read(variant).ndcg10) == ["0", "7", "9"]
    variant.unlink()


def test_a_record_of_other_inputs_is_neither_believed_nor_replaced(measured, tmp_path, capsys):
    words, results, _ = measured
    path = records.record_path(results, "tiny", "lateon-like", "corpus", "smve")
    content = path.read_text()
    changed = json.loads(content)
    del changed["crc32"]  # as a record that was written like this
    changed["identity"]["weights"] = "another"
    path.write_text(json.dumps(changed))
    try:
        assert main(["run", *words, "method=smve"]) == 1
        assert json.loads(path.read_text()) == changed
    finally:
        path.write_text(content)


def test_without_other_queries_mu_q_is_of_pseudo_queries(lateon_like, tiny_dataset, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_dataset, tmp_path / "bare")
    (folder / "qrels" / "train.tsv").unlink()
    words = [f"model.path={lateon_like}", f"dataset.path={folder}", f"results_dir={tmp_path}", f"cache_dir={tmp_path}"]
    words += ["center=own", "method=muvera,smve", "reference=null", "data_dir=null"]
    assert main(["run", "-m", *words]) == 0
    record = records.read(records.record_path(tmp_path, "bare", "lateon-like", "own", "smve"))
    assert record.notes == ["mu_Q: 60 pseudo-queries, snippets of the corpus as long as the evaluated queries"]
    assert main(["run", *words[:-4], "center=own", "center.mean_of=pseudo_queries", "method=smve", *words[-2:]]) == 0
    by_name = records.read(records.record_path(tmp_path, "bare", "lateon-like", "own+mean_of=pseudo_queries", "smve"))
    assert by_name.per_query == record.per_query  # what is asked for by name is what is taken without other queries


def test_the_table_shows_the_run(measured, capsys):
    words = [word for word in measured[0] if not word.startswith(("cache_dir", "progress"))]
    assert main(["table", *words]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "| Model | Center | PLAID | Method | rk=0 | rk=5 | rk=20 | rk=100 |\n|---|---|---|---|---|---|---|---|\n"
    )
    assert text.count("| lateon-like |") == 6 and "this project's addition" in text and "tiny/train" in text


@pytest.fixture
def command(tmp_path):
    """Run a command as a user does, in a process of its own."""

    def run(*words, **environment):
        return subprocess.run(
            [sys.executable, "-m", "harness", *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "HARNESS_CACHE": str(tmp_path), **environment},
        )

    return run


def test_a_failing_data_set_does_not_stop_the_others(measured, tmp_path, command):
    words, results, cache = measured
    (tmp_path / "data").mkdir()
    found = command(
        "run", "suite=beir3", words[0], "method=muvera", f"data_dir={tmp_path}/data", f"results_dir={tmp_path}"
    )
    assert found.returncode == 1 and "3 failed:" in found.stderr and "Traceback" not in found.stderr
