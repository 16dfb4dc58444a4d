"""The example with a real vector database: its own search of the exported codes gives the harness's cell."""

from __future__ import annotations

import pytest
import scripts

from harness import records
from harness.cli import main


@pytest.fixture
def example():
    pytest.importorskip("lancedb", reason="`make databases` installs it")
    return scripts.loaded("lancedb_muvera")


def test_the_search_of_the_database_gives_the_cell_of_the_harness(example, lateon_like, tiny_dataset, tmp_path):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"cache_dir={tmp_path / 'cache'}"]
    words += ["method=muvera", "center=recommended", "method.repetitions=4", "progress=false", "depths=[0,100]"]
    found = example.main(words)["without an index"]
    assert main(["run", *words, "reference=null", f"results_dir={tmp_path}"]) == 0
    (record,) = records.read_all(tmp_path)
    assert {str(depth): value / 100 for depth, value in found.items()} == pytest.approx(record.ndcg10, abs=1e-3)
