"""The example with a real sparse engine: its exact search of the exported codes gives the harness's cell."""

from __future__ import annotations

import pytest
import scripts

from harness import records
from harness.cli import main


@pytest.fixture
def example():
    pytest.importorskip("qdrant_edge", reason="`make databases` installs it")
    return scripts.loaded("qdrant_smve")


def test_the_sparse_search_of_the_engine_gives_the_cell_of_the_harness(example, lateon_like, tiny_dataset, tmp_path):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"cache_dir={tmp_path / 'cache'}"]
    words += [f"results_dir={tmp_path}", "progress=false", "center=recommended", "method=smve", "method.width=512"]
    found = example.main(words)
    assert main(["run", *words, "reference=null", "depths=[0,100]"]) == 0
    (ours,) = (record for record in records.read_all(tmp_path) if record.method == "smve+width=512")
    assert found["float32"] == pytest.approx(ours.ndcg10, abs=1e-3)
    assert found["uint8"]["100"] == pytest.approx(ours.ndcg10["100"], abs=1e-3)  # of 60 documents all are reranked
