"""The example with a real vector database: its own search of the exported codes gives the harness's cell."""

from __future__ import annotations

import pytest
import scripts
from tiny import WORDS, write_dataset

from harness import records
from harness.cli import main


@pytest.fixture
def example():
    pytest.importorskip("lancedb", reason="`make databases` installs it")
    return scripts.loaded("lancedb_muvera")


def test_the_search_of_the_database_gives_the_cell_of_the_harness(example, lateon_like, tiny_dataset, tmp_path):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"cache_dir={tmp_path / 'cache'}"]
    words += [
        f"results_dir={tmp_path}",
        "progress=false",
        "center=recommended",
        "method=muvera",
        "method.repetitions=4",
    ]
    found = example.main(words)["flat"]
    assert main(["run", *words, "reference=null", "depths=[0,100]"]) == 0
    (ours,) = (record for record in records.read_all(tmp_path) if record.method == "muvera+repetitions=4")
    assert found == pytest.approx(ours.ndcg10, abs=1e-3)


def test_the_index_of_the_database_is_measured_too(example, lateon_like, tmp_path, rng):
    """Of 300 documents LanceDB learns 256 centroids for each part of a code."""
    docs = {f"d{i}": " ".join(rng.choice(WORDS, 12)) for i in range(300)}
    queries = {f"q{i}": " ".join(docs[f"d{i}"].split()[:6]) for i in range(10)}
    data = write_dataset(tmp_path / "data", docs, queries, {f"q{i}": {f"d{i}": 1} for i in range(10)})
    words = [f"model.path={lateon_like}", f"dataset.path={data}", f"cache_dir={tmp_path / 'cache'}"]
    words += [f"results_dir={tmp_path}", "progress=false", "method=muvera", "method.repetitions=4"]
    found = example.main(words)
    assert found.keys() == {"flat", "ivf_pq"} and found["flat"]["100"] > 0.5
    assert found["ivf_pq"]["100"] == pytest.approx(found["flat"]["100"], abs=0.2)
