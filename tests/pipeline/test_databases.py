"""The examples with real databases on the demonstration's corpus: exact search gives the harness's cells."""

from __future__ import annotations

import pytest
import scripts

from harness import records
from harness.cli import main


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Words that every run of the module shares, so that the corpus is encoded once."""
    return ["center=recommended", "progress=false", f"cache_dir={tmp_path_factory.mktemp('cache')}"]


def cell(words, folder, *others):
    """NDCG@10 (0 to 1) of the harness's own cell, by depth."""
    places = [f"results_dir={folder}", "reference=null", "depths=[0,100]"]
    assert main(["run", "model=demo", "dataset=docstrings", *words, *others, *places]) == 0
    (record,) = records.read_all(folder)
    return record.ndcg10


@pytest.mark.slow
def test_muvera_in_lancedb(words, tmp_path):
    pytest.importorskip("lancedb", reason="`make databases` installs it")
    options = [*words, "method=muvera", "method.repetitions=5"]
    found = scripts.loaded("lancedb_muvera").main([*options, f"results_dir={tmp_path / 'lancedb'}"])
    ours = cell(options, tmp_path / "ours")
    assert found["flat"] == pytest.approx(ours, abs=1e-3)
    assert found["ivf_pq"]["100"] == pytest.approx(ours["100"], abs=2e-2)  # the database's own approximate index


@pytest.mark.slow
def test_smve_in_qdrant(words, tmp_path):
    pytest.importorskip("qdrant_edge", reason="`make databases` installs it")
    options = [*words, "method=smve", "method.width=4096", "method.keep=8"]
    found = scripts.loaded("qdrant_smve").main([*options, f"results_dir={tmp_path / 'qdrant'}"])
    ours = cell(options, tmp_path / "ours")
    assert found["float32"] == pytest.approx(ours, abs=1e-3)
    assert found["uint8"] == pytest.approx(ours, abs=2e-2)  # weights of 8 bits
