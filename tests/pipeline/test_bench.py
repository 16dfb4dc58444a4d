"""The benchmark on tiny inputs: every case runs and agrees with its peer, missing peers are named, rows are kept."""

from __future__ import annotations

import json

import pytest

from harness import bench
from harness.bench import gpu_cases, kernel_cases, report, scale_cases, timing
from harness.cli import main

FIELDS = {"what", "case", "peer", "peer_version", "ours_seconds", "peer_seconds", "limit_seconds", "ratio_peer"}
FIELDS |= {"ratio_limit", "runs", "host"}


@pytest.fixture
def words(lateon_like, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "_REST", 0)
    folders = [f"results_dir={tmp_path}", f"cache_dir={tmp_path}"]
    return [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "runs=2", "progress=false", *folders]


def rows(folder):
    return json.loads((folder / "bench" / "bench.json").read_text())


@pytest.mark.parametrize(
    "what",
    [
        *("rerank", "muvera", "search", "encode"),
        *(pytest.param(what, marks=pytest.mark.slow) for what in ("smve", "grid", "plaid")),
    ],
)
def test_every_case_runs_and_its_peer_is_timed_where_it_agrees(words, tmp_path, capsys, what):
    assert main(["bench", *words, f"what={what}"]) == 0
    found = rows(tmp_path)
    assert found and all(row["what"] == what and set(row) >= FIELDS and row["runs"] == 2 for row in found)
    for row in found:
        if row["peer_seconds"] is not None:
            assert row["ratio_peer"] == pytest.approx(row["peer_seconds"] / row["ours_seconds"])
        else:
            assert row["peer_version"] in ("missing", "") or row["peer_version"].endswith("not timed")
            assert what != "search"  # its peers are among the locked packages, and agree
    assert "ours s" in capsys.readouterr().out
    assert (tmp_path / "bench" / "bench.svg").read_text().count("ours is faster") == 1
    assert main(["bench", *words, f"what={what}"]) == 0
    assert len(rows(tmp_path)) == len(found)  # replaced, not added


def test_a_missing_peer_is_named_as_missing(words, tmp_path, capsys, monkeypatch):
    for module in (kernel_cases, timing):
        monkeypatch.setattr(module, "installed", lambda package: "missing")
    assert main(["bench", *words, "what=muvera"]) == 0
    assert "missing" in capsys.readouterr().out
    assert rows(tmp_path)[0]["peer_version"] == "missing" and rows(tmp_path)[0]["peer_seconds"] is None


def test_a_peer_that_gives_other_results_is_not_timed():
    def differ(ours, theirs):
        assert ours == theirs

    row = timing.timed(timing.Case("x", "y", lambda: 1, ("torch", "z"), lambda: 2, agree=differ), 1)
    assert row.peer_version.endswith("gives other results: not timed") and row.peer_seconds is row.ratio_peer is None


@pytest.mark.parametrize("index", ["", "sq8"])
def test_a_corpus_that_is_made_as_it_is_read(monkeypatch, index):
    corpus = scale_cases.Corpus("muvera", 50, draws=1 if index else 2, index=index)
    monkeypatch.setattr(scale_cases, "CORPORA", (corpus,))
    monkeypatch.setattr(scale_cases, "host", lambda: {})
    made = list(scale_cases.scale(memory_mb=8))
    title = "muvera, 50 documents x 100 tokens x 128, 300 queries, repetitions=20 bits=5 projection=16, "
    assert [row.case for row in made] == [
        title + rest for rest in (["index=sq8, built", "index=sq8, searched"] if index else ["2 draws"])
    ]
    assert all(row.peak_mb > 50 and row.ours_seconds > 0 and row.documents == 50 for row in made)
    size = 50 * 10240 / 2**20 if index else None
    assert all(row.disk_mb == (pytest.approx(size, rel=0.2) if index else None) for row in made)
    assert "peak MB" in report.table(made)


def test_rows_of_a_stopped_run_are_kept(words, tmp_path, monkeypatch):
    def stopped(*given):
        yield timing.timed(timing.Case("rerank", "first", lambda: 1), 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "_rows", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(["bench", *words])
    assert [row["case"] for row in rows(tmp_path)] == ["first"]


def test_the_cases_of_a_gpu(words, tmp_path, capsys, monkeypatch):
    """Every case runs (on a CPU where there is no GPU), and its share is of the product in its own type."""
    pytest.importorskip("triton")
    small = {"PRODUCT": 64, "DOCUMENTS": 8, "LENGTH": 5, "QUERIES": 3, "QUERY_LENGTH": 4, "DIM": 16, "TEXTS": 5}
    for name, value in small.items():
        monkeypatch.setattr(gpu_cases, name, value)
    assert main(["bench", *words, "what=gpu"]) == 0
    found = rows(tmp_path)
    products = {row["case"].split()[-1]: row["operations"] / row["ours_seconds"] for row in found[:3]}
    assert set(products) == {"float16", "bfloat16", "float32"} and len(found) == 12
    exact = next(row for row in found if row["case"] == "exact MaxSim, 3 queries x 8 documents")
    assert exact["operations"] == 2 * 3 * 4 * 8 * 5 * 16 and exact["documents"] == 8
    rate = exact["operations"] / exact["ours_seconds"]
    assert exact["ratio_limit"] == pytest.approx(rate / products["float16"])
    assert "share of the product" in capsys.readouterr().out


def test_an_unknown_benchmark_is_a_sentence(capsys):
    assert main(["bench", "what=everything"]) == 2
    assert "unknown benchmark 'everything'. Known: encode, gpu, grid" in capsys.readouterr().err
