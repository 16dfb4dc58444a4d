"""Indexes through the command line: records, names, draws, what is shared, what is refused, and the cache."""

from __future__ import annotations

import pytest

from harness import records
from harness.cli import main
from harness.system.folders import MARKER

MUVERA = ["method=muvera", "method.repetitions=2", "method.bits=2", "method.projection=4"]
NAME = "muvera+bits=2+projection=4+repetitions=2"


@pytest.fixture(scope="module")
def measured(lateon_like, tiny_dataset, tmp_path_factory):
    """Results and cache of one method in several indexes under centerings that share documents, two draws of each."""
    results, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={results}", "reference=null"]
    words += [f"cache_dir={cache}", "progress=false", "depths=[0,20]"]
    draws = [*MUVERA, "method.seeds=2"]
    assert main(["run", "-m", *words, *draws, "center=corpus,own", "index=flat,fp16"]) == 0
    assert main(["run", "-m", *words, *draws, "index=hnsw", "index.efSearch=40,80"]) == 0
    return words, results, cache


def of(measured, method):
    return {record.center: record for record in records.read_all(measured[1]) if record.method == method}


def test_each_index_has_records_of_its_own_with_its_recall_and_its_bytes(measured):
    flat, half = of(measured, NAME), of(measured, f"{NAME}+index=fp16")
    assert set(flat) == set(half) == {"corpus", "own"}
    assert "index" not in flat["own"].identity["method"] and half["own"].identity["method"]["index"] == {"name": "fp16"}
    assert "index_recall" not in flat["own"].details and half["own"].details["index_recall"]["10"] > 0.9
    assert half["own"].bytes["index"] < flat["own"].bytes["index"]
    assert len(half["own"].draws.seeds) == 2
    graph = of(measured, f"{NAME}+index=hnsw+efSearch=80")["corpus"]
    assert graph.ndcg10["0"] == pytest.approx(flat["corpus"].ndcg10["0"], abs=0.02)


def test_the_recall_of_a_cell_is_that_of_its_own_queries(measured, tmp_path):
    """Cells that share their documents are searched at once; here one of them by itself."""
    alone = [f"results_dir={tmp_path}", f"cache_dir={tmp_path}", *MUVERA, "method.seeds=2", "center=own", "index=fp16"]
    assert main(["run", *measured[0][:2], "reference=null", "progress=false", "depths=[0,20]", *alone]) == 0
    (record,) = records.read_all(tmp_path)
    assert record.details == of(measured, f"{NAME}+index=fp16")["own"].details


def test_each_draw_has_one_index_whatever_the_centering_of_queries_and_the_search(measured):
    names = [marker.parent.name for marker in measured[2].glob(f"indexes/*/{MARKER}")]
    assert sum("-fp16-" in name for name in names) == 2 and sum("-hnsw-" in name for name in names) == 2


def test_a_lost_record_comes_from_the_indexes_in_the_cache(measured, capsys):
    words, results, cache = measured
    (path,) = results.glob(f"records/*/*/corpus/{NAME}+index=fp16.json")
    before = {marker: marker.stat().st_mtime_ns for marker in cache.glob(f"indexes/*/{MARKER}")}
    scores = records.read(path).ndcg10
    path.unlink()
    assert main(["run", *words, *MUVERA, "method.seeds=2", "index=fp16"]) == 0
    assert records.read(path).ndcg10 == scores
    assert {marker: marker.stat().st_mtime_ns for marker in before} == before


def test_a_record_is_reproduced_in_its_index(measured, capsys):
    words, results, cache = measured
    (path,) = results.glob(f"records/*/*/corpus/{NAME}+index=hnsw+efSearch=40.json")
    folders = [word for word in words if word.startswith(("model.path", "dataset.path"))]
    assert main(["reproduce", str(path), *folders, f"cache_dir={cache}"]) == 0
    assert "same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "sentence", "code"),
    [
        (["method=bm25", "index=sq8"], "method=bm25 has no codes that an index could keep", 1),
        ([*MUVERA, "index=pq"], "learns 256 centroids from", 1),
        ([*MUVERA, "index=sq8", "shard=1/2"], "+index=sq8 needs all documents at once: leave shard=1/2 out", 2),
        ([*MUVERA, "index=pq", "index.nbits=x"], "index.nbits=x: expected a whole number", 2),
        ([*MUVERA, "index=tree"], "'tree'", 2),
    ],
)
def test_what_does_not_fit_is_a_sentence(measured, caplog, capsys, more, sentence, code):
    assert main(["run", *measured[0], *more]) == code
    assert sentence in caplog.text + capsys.readouterr().err


def test_sparse_codes_in_their_inverted_index_have_the_scores_of_the_method(measured):
    pytest.importorskip("pyvsag", reason="`make databases` installs it")
    words, results, _ = measured
    smve = ["method=smve", "method.width=512", "method.keep=4"]
    assert main(["run", "-m", *words, *smve, "index=flat,sindi"]) == 0
    assert main(["run", *words, *smve, "index=sindi", "index.query_prune_ratio=0.5"]) == 0
    flat, exact, pruned = (
        of(measured, f"smve+keep=4+width=512{name}")["corpus"]
        for name in ("", "+index=sindi", "+index=sindi+query_prune_ratio=0.5")
    )
    assert exact.details["index_recall"] == {"10": 1.0} and pruned.details["index_recall"]["10"] < 1
    assert exact.ndcg10 == pytest.approx(flat.ndcg10, abs=1e-6)
    assert pruned.bytes["index"] == exact.bytes["index"] > 0


def test_the_cache_lists_and_checks_indexes(measured, capsys):
    assert main(["cache", "ls", f"cache_dir={measured[2]}"]) == 0
    assert "| index " in capsys.readouterr().out
    assert main(["cache", "verify", f"cache_dir={measured[2]}"]) == 0
