"""The example with a real vector database: its own search of the exported codes gives the harness's cell."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from harness import records
from harness.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "lancedb_muvera.py"


@pytest.fixture
def example():
    pytest.importorskip("lancedb", reason="`make databases` installs it")
    spec = importlib.util.spec_from_file_location("lancedb_muvera", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_search_of_the_database_gives_the_cell_of_the_harness(example, lateon_like, tiny_dataset, tmp_path):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"cache_dir={tmp_path / 'cache'}"]
    words += ["method=muvera", "center=recommended", "method.repetitions=4", "progress=false", "depths=[0,100]"]
    found = example.main(words)["without an index"]
    assert main(["run", *words, "reference=null", f"results_dir={tmp_path}"]) == 0
    (record,) = records.read_all(tmp_path)
    assert {str(depth): value / 100 for depth, value in found.items()} == pytest.approx(record.ndcg10, abs=1e-3)
