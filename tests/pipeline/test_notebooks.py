"""The notebooks run from top to bottom, and carry no outputs.

They name the demonstration's model and data set in their first line. The data set that takes its place here has the
counts of the smallest one in conf/, and short texts: the notebooks are tested, not the demonstration.
"""

from __future__ import annotations

import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat import read
from tiny import WORDS, write_dataset

from harness.config.entries import ROOT, entry

pytestmark = pytest.mark.notebooks
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONG = ("01_geometry", "03_budget")
"""The notebooks that take a minute or more."""
SHIPPED, SMALL = '"demo", "docstrings"', '"demo", "adi"'


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    """What one notebook encodes, the next one reads."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    """A folder of data with a set of random words, in the place of the smallest one."""
    options, rng = entry("dataset", "adi"), np.random.default_rng(2)
    docs = {f"d{i}": " ".join(rng.choice(WORDS, 12)) for i in range(options["docs"])}
    queries = {f"q{i}": " ".join(docs[f"d{i}"].split()[:4]) for i in range(options["queries"])}
    pairs = [(f"q{i % len(queries)}", f"d{i % len(docs)}") for i in range(options["qrels"])]
    qrels = {query: {doc: 1 for other, doc in pairs if other == query} for query in queries}
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "adi", docs, queries, qrels)
    return folder


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == ["01_geometry.ipynb", "02_results.ipynb", "03_budget.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs(path):
    code = [cell for cell in read(path, as_version=4).cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LONG else []) for path in NOTEBOOKS],
)
def test_a_notebook_runs(path, small_data, shared_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", str(small_data))
    monkeypatch.setenv("HARNESS_CACHE", str(shared_cache))
    monkeypatch.setenv("HARNESS_RESULTS", str(tmp_path))
    notebook = read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert SHIPPED in first.source
    first.source = first.source.replace(SHIPPED, SMALL)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)  # a figure was shown
    assert not any("error: " in output.get("text", "") for output in outputs)
    assert list(tmp_path.rglob("*.json"))  # and the results went where they were asked to go
