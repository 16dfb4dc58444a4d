"""A real ColBERT beside sentence-transformers 6, where `make oracle` installed it: ADI, 82 documents."""

from __future__ import annotations

import subprocess

import pytest
import scripts

from harness.config.entries import ROOT

ORACLE = ROOT / ".venv-oracle"


@pytest.mark.slow
def test_vectors_and_exact_search_are_those_of_sentence_transformers(real_data, real_model, tmp_path, monkeypatch):
    if not (ORACLE / "installed").exists():
        pytest.skip("`make oracle` installs sentence-transformers 6")
    (compare,) = scripts.of_study(monkeypatch, "oracle", "compare")
    data = next(real_data.glob("*/adi"))
    script = [ORACLE / "bin" / "python", ROOT / "studies" / "oracle" / "encode.py"]
    subprocess.run([*script, real_model, data, "32", "82", tmp_path / "there"], check=True, capture_output=True)
    words = ["model=answerai_colbert_small", f"models_dir={real_model.parent}", "dataset=adi"]
    words += [f"data_dir={real_data}", f"cache_dir={tmp_path}", f"results_dir={tmp_path}"]
    found = compare.compared(tmp_path / "there", words)
    for side, count in (("documents", 82), ("queries", 35)):
        assert found[side] == found[f"{side} with as many tokens"] == count
        assert found[f"least cosine, {side}"] > 0.9999
    assert found["NDCG@10, here"] == pytest.approx(found["NDCG@10, there"], abs=0.001)
