"""The worked example of docs/architecture.md, from `ls` to its record."""

from __future__ import annotations

import re

import example
import numpy as np
import pytest
from tiny import unit

from harness import records
from harness.cli import main
from harness.methods import registry
from harness.ranking.ranks import Ranking
from harness.vectors.store import stacked


@pytest.fixture
def own_method(tmp_path, monkeypatch):
    yield example.placed(tmp_path, monkeypatch)
    example.forgotten()


def test_its_scores_do_not_depend_on_the_memory_or_on_other_queries(own_method, make_store, rng, resources):
    method = registry.make(own_method)
    docs, queries = (make_store([unit(rng, 5, 48) for _ in range(count)]) for count in (700, 30))
    found = method.search(docs, queries, 700, resources()).ranking
    little = method.search(docs, queries, 700, resources(1 << 18)).ranking
    together = method.search(docs, stacked([queries, make_store([unit(rng, 3, 48)])]), 700, resources()).ranking
    for other in (little, Ranking(together.rows[:30], together.scores[:30])):
        np.testing.assert_array_equal(other.rows, found.rows)
        np.testing.assert_array_equal(other.scores, found.scores)


def test_a_method_is_two_files(own_method, lateon_like, tiny_dataset, tmp_path, capsys):
    assert main(["ls", "methods"]) == 0
    assert re.search(r"^own_method +Random projection and mean pooling", capsys.readouterr().out, re.M)
    inputs = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "reference=null", "method=own_method"]
    folders = [f"cache_dir={tmp_path / 'cache'}", f"results_dir={tmp_path / 'results'}"]
    assert main(["run", "-m", *inputs, "center=none,corpus", *folders]) == 0
    assert "own_method" in capsys.readouterr().err
    found = {record.center: record for record in records.read_all(tmp_path / "results")}
    assert found.keys() == {"none", "corpus"}
    for record in found.values():
        assert {**record.config["method"], "seeds": None} == own_method
        assert {"own_method_encode_documents", "own_method_search", "rerank"} <= record.seconds.keys()
        assert record.bytes["index"] == 60 * own_method["width"] * 4
    assert found["none"].per_query["0"] != found["corpus"].per_query["0"]  # the vectors were centered
