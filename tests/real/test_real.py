"""A real ColBERT on real data. The slow test reproduces committed figures from the texts on."""

from __future__ import annotations

import pytest

from harness import records
from harness.cli import main
from harness.config import entries

MODEL = "answerai_colbert_small"


def test_centering_rescues_the_projections_of_an_anisotropic_model(real_data, real_model, tmp_path):
    """ADI, 82 documents: raw MUVERA and SMVE lose most of exact search, centered ones keep much more of it."""
    words = [f"model={MODEL}", "dataset=adi", f"models_dir={real_model.parent}", f"data_dir={real_data}"]
    words += [f"results_dir={tmp_path}", f"cache_dir={tmp_path}", "reference=null", "depths=[0,20,100]"]
    assert main(["run", "-m", *words, "center=none,corpus", "method=exact,muvera,smve"]) == 0

    def found(center, method):
        return records.read(records.record_path(tmp_path, "adi", MODEL, center, method)).ndcg10

    exact = found("none", "exact")["final"]
    for method in ("muvera", "smve"):
        raw, centered = found("none", method), found("corpus", method)
        assert raw["0"] + 0.05 < centered["0"] < exact
        assert raw["0"] < raw["20"] < raw["100"] == pytest.approx(exact, abs=1e-12)


@pytest.mark.slow
def test_a_committed_record_is_reproduced(real_data, real_model, tmp_path):
    """SciFact, encoded again: every depth within 0.3 points of the committed record (rounding moves near ties)."""
    words = [f"model={MODEL}", "dataset=scifact", f"models_dir={real_model.parent}", f"data_dir={real_data}"]
    assert (
        main(["run", *words, f"results_dir={tmp_path}", f"cache_dir={tmp_path}", "method=muvera", "reference=null"])
        == 0
    )
    new = records.read(records.record_path(tmp_path, "scifact", MODEL, "corpus", "muvera"))
    old = records.read(records.record_path(entries.ROOT / "results", "scifact", MODEL, "corpus", "muvera"))
    assert new.identity == old.identity
    assert new.ndcg10 == pytest.approx(old.ndcg10, abs=0.003)
