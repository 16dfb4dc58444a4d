"""`harness.evaluate` gives the numbers of `run`, from arrays and from a PyLate model."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import unit, write_dataset
from vectors_folder import write_side

import harness
from harness import records
from harness.cli import main
from harness.data import beir
from harness.system.errors import HarnessError

METHODS = ["muvera method.seeds=2", "smve method.width=64 method.keep=4", "exact"]


@pytest.fixture(scope="module")
def arrays():
    """40 documents, six queries with judgements and one without any, masks."""
    rng = np.random.default_rng(5)
    docs = {f"d{i}": unit(rng, int(n), 16, cone=0.4) for i, n in enumerate(rng.integers(3, 20, 40))}
    queries = {f"q{i}": np.concatenate([docs[f"d{i}"][:3], unit(rng, 4, 16, cone=0.4)]) for i in range(7)}
    qrels = {f"q{i}": {f"d{i}": 2, f"d{i + 10}": 1} for i in range(6)}
    masks = {"expansion": {name: np.arange(7) >= 3 for name in queries}}
    return docs, queries, qrels, masks


@pytest.fixture(scope="module")
def found(arrays):
    docs, queries, qrels, masks = arrays
    center = "corpus query_tokens=real"
    return harness.evaluate(docs, queries, qrels, METHODS, center, depths=[0, 10], masks=masks)


def test_the_numbers_are_those_of_run(arrays, found, tmp_path):
    docs, queries, qrels, masks = arrays
    judged = {name: queries[name] for name in qrels}
    data = write_dataset(tmp_path / "data", dict.fromkeys(docs, "x"), dict.fromkeys(judged, "x"), qrels)
    write_side(tmp_path / "v" / "documents", docs, "<f4")
    mask = np.concatenate([masks["expansion"][name] for name in judged])
    write_side(tmp_path / "v" / "queries", judged, "<f4", expansion=mask)
    words = [f"vectors={tmp_path / 'v'}", f"dataset.path={data}", f"cache_dir={tmp_path}", f"results_dir={tmp_path}"]
    words += ["depths=[0,10]", "reference=null", "center=corpus", "query_tokens=real", "progress=false"]
    for method in METHODS:
        assert main(["run", *words, *f"method={method}".split()]) == 0
    expected = {record.method: record for record in records.read_all(tmp_path)}
    assert {record.method for record in found.records} == expected.keys()
    for record in found.records:
        assert record.per_query == expected[record.method].per_query
        np.testing.assert_equal(record.draws.ndcg10, expected[record.method].draws.ndcg10)


def test_a_result_is_tables(found):
    table = found.table()
    assert list(table.columns) == ["0", "10", "final"]
    assert table.index.names == ["method", "center"] and len(table) == 3
    scores = found.per_query
    assert list(scores.index) == [f"q{i}" for i in range(6)]
    assert 100 * scores["muvera", "10"].mean() == pytest.approx(table.loc[("muvera", "corpus+query_tokens=real"), "10"])
    compared = found.compare("exact", "muvera", depth=0)
    mean = scores["exact", "final"].mean() - scores["muvera", "0"].mean()
    assert compared.difference.delta == pytest.approx(100 * mean) and compared.difference.n_queries == 6
    with pytest.raises(HarnessError, match="'muvera' or 'plaid' was not measured at depth 0: expected two of"):
        found.compare("muvera", "plaid")


def test_a_pylate_model_encodes_texts(lateon_like, tiny_dataset, swept):
    from pylate.models import ColBERT

    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    model = ColBERT(str(lateon_like), device="cpu")
    methods, depths = ["muvera", "exact", "bm25"], [0, 5, 20, 100]
    found = harness.evaluate(dataset.docs, dataset.queries, dataset.qrels, methods, depths=depths, model=model)
    for record in found.records:
        if record.method != "bm25":
            path = records.record_path(swept[1], "tiny", "lateon-like", record.center, record.method)
            assert record.per_query == records.read(path).per_query


def test_bad_input_is_a_sentence(arrays):
    docs, queries, qrels, _ = arrays
    with pytest.raises(HarnessError, match="qrels judges none of the queries"):
        harness.evaluate(docs, queries, {})
    with pytest.raises(HarnessError, match="unknown method 'smvee'; did you mean 'smve'"):
        harness.evaluate(docs, queries, qrels, ["smvee"])
    with pytest.raises(HarnessError, match="no document has a word, expected some for method=bm25"):
        harness.evaluate(docs, queries, qrels, ["bm25"])
    with pytest.raises(HarnessError, match="documents/tokens.npy has NaN"):
        harness.evaluate({**docs, "d3": np.full((2, 16), np.nan, np.float32)}, queries, qrels, ["exact"])
