"""Shards: the merged result is that of the whole corpus, to the last bit."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from harness import records
from harness.cli import main


def test_the_merged_result_is_that_of_the_whole_corpus(small_chunks, lateon_like, tiny_dataset, tmp_path, capsys):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "depths=[0,5,20]", "save_runs=true"]
    words += ["progress=false", "reference=null", "-m", "center=none,corpus,own", "method=exact,muvera,smve"]
    words += ["method.seeds={muvera: 2}"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["run", *words, f"results_dir={whole}", f"cache_dir={whole}"]) == 0
    sharded = [*words, f"results_dir={parts}", f"cache_dir={parts}"]
    assert main(["run", *sharded, "shard=1/3"]) == 1  # no mean without the others' sums
    assert "needs the sums of shard 2/3, 3/3" in capsys.readouterr().err
    assert main(["run", *sharded, "shard=2/3"]) == 1
    assert main(["run", *sharded, "shard=3/3"]) == 0  # all sums are there: centered, too, as far as this shard goes
    assert {record.center for record in records.read_all(parts)} == {"none"}  # of these, all three shards are done
    assert main(["run", *sharded, "shard=1/3"]) == 0
    assert main(["run", *sharded, "shard=2/3"]) == 0
    expected = {record.center + record.method: record for record in records.read_all(whole)}
    found = {record.center + record.method: record for record in records.read_all(parts)}
    assert found.keys() == expected.keys() and len(found) == 7
    for name, record in expected.items():
        for one in (record, found[name]):  # shards look deeper, and so meet more self matches
            one.candidates.pop("self_matches_removed")
        for depth, scores in record.draws.ndcg10.items():
            np.testing.assert_array_equal(found[name].draws.ndcg10[depth], scores)
        for field in ("per_query", "ndcg10", "candidate_recall", "candidates", "identity", "draw_seeds"):
            assert getattr(found[name], field) == getattr(record, field), (name, field)
        assert found[name].details == pytest.approx({**record.details, "shards": 3})
    files = {path.relative_to(whole): path for path in whole.rglob("*.trec.gz")}
    assert len(files) == 3 * 3 * (2 + 1) + 1  # MUVERA's two draws, SMVE, exact search
    for name, path in files.items():
        assert gzip.decompress((parts / name).read_bytes()) == gzip.decompress(path.read_bytes())


def test_shards_of_pooled_documents_find_each_others_sums(small_chunks, lateon_like, tiny_dataset, tmp_path):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "depths=[0,5]", "progress=false"]
    words += ["pool=hierarchical", "reference=null", "center=corpus", "method=muvera"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["run", *words, f"results_dir={whole}", f"cache_dir={whole}"]) == 0
    sharded = ["run", *words, f"results_dir={parts}", f"cache_dir={parts}"]
    assert [main([*sharded, f"shard={shard}/2"]) for shard in (1, 2, 1)] == [1, 0, 0]
    (expected,), (found,) = records.read_all(whole), records.read_all(parts)
    assert found.per_query == expected.per_query and found.model == f"{lateon_like.name}+pool=hierarchical"


def test_plaid_and_too_many_shards_are_refused(lateon_like, tiny_dataset, tmp_path, capsys):
    words = [
        "run",
        f"model.path={lateon_like}",
        f"dataset.path={tiny_dataset}",
        f"cache_dir={tmp_path}",
        f"results_dir={tmp_path}",
    ]
    assert main([*words, "method=plaid", "shard=1/2"]) == 2
    assert "method=plaid needs all documents at once: leave shard=1/2 out" in capsys.readouterr().err
    assert main([*words, "method=smve", "center=none", "shard=1/2"]) == 1
    assert "shard=1/2: the 60 documents of tiny are 1 chunks of 1024: take at most as many" in capsys.readouterr().err
