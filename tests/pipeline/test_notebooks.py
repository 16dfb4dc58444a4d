"""The notebooks run from top to bottom on the demonstration's data, and carry no outputs."""

from __future__ import annotations

import pytest
from nbclient import NotebookClient
from nbformat import read

from harness.config.entries import ROOT

pytestmark = pytest.mark.notebooks
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    """What one notebook encodes, the next one reads."""
    return tmp_path_factory.mktemp("cache")


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == ["01_geometry.ipynb", "02_results.ipynb", "03_budget.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs(path):
    code = [cell for cell in read(path, as_version=4).cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, shared_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(shared_cache))
    monkeypatch.setenv("HARNESS_RESULTS", str(tmp_path))
    notebook = read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)  # a figure was shown
    assert not any("error: " in output.get("text", "") for output in outputs)
    assert list(tmp_path.rglob("*.json"))  # and the results went where they were asked to go
