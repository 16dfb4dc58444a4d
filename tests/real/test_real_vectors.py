"""The token vectors of a real ColBERT, exported and given back, have its scores; and exact search by a loop."""

from __future__ import annotations

import numpy as np
import pytest
from vectors_folder import read_side, write_side

from harness import records
from harness.cli import main
from harness.config import compose
from harness.evaluation.ndcg import Evaluator
from harness.measure import testbed as testbeds
from harness.measure.grouping import by_testbed
from harness.vectors.query_tokens import REAL, WORDS, places

MODEL = "answerai_colbert_small"
CELLS = ["center=none,corpus", "query_tokens=all,words", "method=plaid,muvera,smve,exact,binary,lemur"]


@pytest.fixture(scope="module")
def exported(real_data, real_model, tmp_path_factory):
    """ADI: words of a command, its model's testbed, and the folder of the exported vectors."""
    root = tmp_path_factory.mktemp("real")
    words = ["dataset=adi", f"data_dir={real_data}", f"models_dir={real_model.parent}", f"cache_dir={root}"]
    words += [f"results_dir={root}", "progress=false", "depths=[0,20]"]
    ((options, _),) = by_testbed([compose.composed([*words, f"model={MODEL}", "reference=null"])])
    testbed = testbeds.Testbed(options)  # by its module: pytest would collect the name
    model = testbed.source.encoder.pylate(testbed.source.query_length)
    texts = list(testbed.dataset.queries.values())
    real, known = places(model, texts, REAL), places(model, texts, WORDS)
    sides = {"documents": (testbed.docs, testbed.dataset.docs), "queries": (testbed.queries, testbed.dataset.queries)}
    lengths = testbed.queries.lengths
    masks = {
        "expansion": np.concatenate([~row[:length] for row, length in zip(real, lengths, strict=True)]),
        "special": np.concatenate([(r & ~w)[:n] for r, w, n in zip(real, known, lengths, strict=True)]),
    }
    for side, (store, ids) in sides.items():
        vectors = {name: store[row] for row, name in enumerate(ids)}
        write_side(root / "vectors" / side, vectors, **(masks if side == "queries" else {}))
    return words, testbed, root


@pytest.mark.slow
def test_given_vectors_have_the_models_scores(exported):
    words, _, root = exported
    assert main(["run", "-m", *words, f"model={MODEL}", *CELLS]) == 0
    assert main(["run", "-m", *words, f"vectors={root / 'vectors'}", "model.name=given", *CELLS]) == 0
    found = {model: {} for model in (MODEL, "given")}
    for record in records.read_all(root):
        found[record.model][record.center, record.method] = record.per_query
    assert found["given"] == found[MODEL] and len(found["given"]) == 18


def test_exact_search_is_a_loop_over_the_files(exported):
    words, testbed, root = exported
    given = [*words, f"vectors={root / 'vectors'}", "model.name=given", "method=exact", "reference=null"]
    assert main(["run", *given]) == 0
    docs, queries = (read_side(root / "vectors" / side) for side in ("documents", "queries"))
    rows = np.full((len(testbed.dataset.queries), 10), -1)
    for row, query in enumerate(testbed.dataset.queries):
        scores = {name: (queries[query].astype(float) @ docs[name].T.astype(float)).max(axis=1).sum() for name in docs}
        scores.pop(query, None)
        known = [name for name in testbed.dataset.docs if name in scores]  # in this order ties stay
        best = sorted(known, key=lambda name: scores[name], reverse=True)[:10]
        rows[row] = [list(testbed.dataset.docs).index(name) for name in best]
    record = records.read(records.record_path(root, "adi", "given", "none", "exact"))
    np.testing.assert_allclose(record.per_query["final"], Evaluator(testbed.dataset).ndcg10(rows), atol=1e-9)
