"""The scripts of studies/ find what they import; the study's own codes are MUVERA's where nothing is shifted apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scripts
import torch
from tiny import unit

from harness.methods.muvera import FixedDimensionalEncoding
from harness.vectors.store import StoreInMemory

ROOT = Path(__file__).parents[2]


def test_the_study_starts():
    found = subprocess.run([sys.executable, ROOT / "studies" / "ste" / "study.py"], capture_output=True, text=True)
    assert found.returncode == 2 and "studies/ste/study.py pilot" in found.stderr, found.stderr


@pytest.fixture
def recipe(monkeypatch):
    (module,) = scripts.of_study(monkeypatch, "ste", "recipe")
    return module


def test_the_heads_under_the_recipe_stand_in_the_report_as_they_were_measured(recipe):
    text = (ROOT / "results" / "ste" / "README.md").read_text()
    for table in (recipe.table(), recipe.tests()):
        rows = [[str(cell) for cell in row] for row in table.itertuples(index=False)]
        shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
        assert rows and all(row in shown for row in rows)


def test_a_studys_modules_give_way_to_others_of_the_same_name():
    import scores

    with pytest.MonkeyPatch.context() as patched:
        (theirs,) = scripts.of_study(patched, "ste", "scores")
        assert theirs is not scores and hasattr(theirs, "ARMS")
        (arms,) = scripts.of_study(patched, "ste2", "arms")
        (other,) = scripts.of_study(patched, "rivals", "arms")
        assert arms is not other
    assert sys.modules["scores"] is scores and "arms" not in sys.modules


def test_a_gain_of_every_head_is_found_whatever_the_draws_and_queries(recipe, rng):
    left, right = {}, {}
    for name in recipe.DATASETS:
        draws, queries = rng.normal(0, 0.01, (5, 1)), rng.uniform(0.3, 0.6, (1, 60))
        right[name] = draws + queries
        left[name] = right[name] + 0.02 + rng.normal(0, 0.01, (5, 60))
    found = recipe.tested(left, right)
    assert found.delta == pytest.approx(2, abs=0.2) and found.ci_low > 1 and found.p < 0.01
    assert recipe.tested(right, right).delta == 0 and recipe.tested(right, right).p > 0.9


@pytest.fixture
def mechanism(monkeypatch):
    (module,) = scripts.of_study(monkeypatch, "query_side", "mechanism")
    return module


def test_tokens_that_are_hashed_and_added_alike_give_the_encoding(mechanism, rng):
    tokens, shift = unit(rng, 12, 16, cone=0.5), rng.normal(size=16).astype(np.float32)
    store = StoreInMemory(tokens, np.array([5, 0, 7]))
    fde = FixedDimensionalEncoding(16, 4, 3, 8, seed=1, device=torch.device("cpu"))
    block = store.rows(0, 3)
    found = mechanism.query_codes(fde, tokens, tokens, block)
    np.testing.assert_allclose(found, fde.queries(block).numpy(), atol=1e-5)
    parts = [mechanism.query_codes(fde, tokens, part, block) for part in (tokens - shift, np.tile(shift, (12, 1)))]
    np.testing.assert_allclose(parts[0] + parts[1], found, atol=1e-5)  # the score is linear in what is added


def test_how_alike_scores_are_is_the_mean_correlation_of_two_queries(mechanism, rng):
    scores = rng.normal(size=(4, 9))
    pairs = np.corrcoef(scores)[np.triu_indices(4, 1)]
    assert mechanism.alike(scores) == pytest.approx(pairs.mean())


def test_the_indexes_that_are_measured_have_options_that_there_are(monkeypatch):
    (module,) = scripts.of_study(monkeypatch, "", "indexes")
    cells = list(module.cells("nfcorpus", ["results_dir=elsewhere"]))
    found = {f"{cell.method.name} {cell.index.name}" for cell in cells}
    assert {"muvera flat", "muvera pq", "muvera rabitq", "muvera hnsw", "smve sindi"} <= found
    assert {cell.results_dir for cell in cells} == {"elsewhere"} and {cell.center.name for cell in cells} != {"none"}
    with pytest.raises(SystemExit, match="quora is no data set of offline8"):
        module.main(["quora"])
