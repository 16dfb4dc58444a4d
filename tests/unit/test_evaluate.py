"""NDCG@10 against pytrec_eval and the reference: graded, tied, missing and zero judgements."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import pytrec_eval
import reference

from harness.config.entries import ROOT
from harness.config.measures import Measure
from harness.data.dataset import Dataset
from harness.evaluation.ndcg import Evaluator


@pytest.fixture
def judged(rng) -> tuple[Dataset, np.ndarray]:
    """40 documents, 6 queries: graded; binary; only zeros; a relevant document that is not in the corpus; many; one."""
    docs = {f"d{i:02d}": "" for i in reversed(range(40))}
    names = list(docs)
    qrels = {
        "graded": {names[i]: int(g) for i, g in enumerate(rng.integers(0, 4, 25))},
        "binary": {names[3]: 1, names[30]: 1},
        "zeros": {names[5]: 0},
        "missing": {names[8]: 1, "not in the corpus": 1},
        "many": {name: 1 + i % 2 for i, name in enumerate(names)},
        "one": {names[0]: 2},
    }
    dataset = Dataset("judged", docs, {query: "" for query in qrels}, qrels)
    return dataset, np.array([rng.permutation(40)[:30] for _ in qrels])


def test_equals_pytrec_eval_and_the_reference(judged):
    dataset, rows = judged
    names = list(dataset.docs)
    runs = {
        q: {names[r]: float(99 - i) for i, r in enumerate(best)} for q, best in zip(dataset.queries, rows, strict=True)
    }
    trec = pytrec_eval.RelevanceEvaluator(dataset.qrels, {"ndcg_cut.10", "recall.5", "recall.20"}).evaluate(runs)
    found = Evaluator(dataset).ndcg10(rows)
    for i, query in enumerate(dataset.queries):
        assert found[i] == pytest.approx(trec[query]["ndcg_cut_10"], abs=1e-12)
        assert found[i] == pytest.approx(reference.ndcg([names[r] for r in rows[i]], dataset.qrels[query]), abs=1e-12)
    relevant = [query for query in dataset.queries if query != "zeros"]
    wanted = {depth: np.mean([trec[query][f"recall_{depth}"] for query in relevant]) for depth in (5, 20)}
    assert Evaluator(dataset).candidate_recall(rows, [5, 20]) == pytest.approx(wanted, abs=1e-12)


def test_judgements_belong_to_their_query_in_any_order(judged):
    dataset, rows = judged
    other = replace(dataset, qrels=dict(reversed(dataset.qrels.items())))
    assert Evaluator(other).candidate_recall(rows, [5, 20]) == Evaluator(dataset).candidate_recall(rows, [5, 20])
    for name in ("ndcg@10", "recall@5", "judged@10"):
        found = (Evaluator(each).score(Measure.of(name), rows) for each in (dataset, other))
        np.testing.assert_array_equal(*found)


def test_short_lists_count_what_they_have(judged):
    dataset, rows = judged
    rows = rows.copy()
    rows[:, 3:] = -1
    names = list(dataset.docs)
    for i, query in enumerate(dataset.queries):
        wanted = reference.ndcg([names[r] for r in rows[i, :3]], dataset.qrels[query])
        assert Evaluator(dataset).ndcg10(rows)[i] == pytest.approx(wanted, abs=1e-12)


def test_ties_by_trec_evals_rule(judged):
    """Equal scores everywhere: pytrec_eval (doc id descending) and our order (row ascending, ids descending) agree."""
    dataset, _ = judged
    names = list(dataset.docs)
    trec = pytrec_eval.RelevanceEvaluator(dataset.qrels, {"ndcg_cut.10"})
    scores = trec.evaluate({query: dict.fromkeys(names, 1.0) for query in dataset.queries})
    rows = np.tile(np.arange(40), (len(dataset.queries), 1))
    wanted = [scores[query]["ndcg_cut_10"] for query in dataset.queries]
    np.testing.assert_allclose(Evaluator(dataset).ndcg10(rows), wanted, atol=1e-12)


def test_a_query_without_candidates_counts_as_0(judged):
    dataset, rows = judged
    evaluator, emptied = Evaluator(dataset), rows.copy()
    emptied[1] = -1
    wanted = evaluator.ndcg10(rows)
    wanted[1] = 0
    np.testing.assert_array_equal(evaluator.ndcg10(emptied), wanted)


def test_a_run_imports_the_metrics_of_ranx_alone_and_others_get_all_of_it():
    code = """if True:
        import sys
        from harness import run
        from harness.evaluation import ndcg
        print(sorted(sys.modules))
        import ranx.metrics
        from ranx import *
        assert ranx.metrics.ndcg is ndcg.ndcg and callable(evaluate) and isinstance(Qrels, type)
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    modules = set(ast.literal_eval(found.stdout))
    assert "ranx.metrics.ndcg" in modules
    assert not {"ranx.data_structures", "scipy.stats", "matplotlib", "ir_datasets", "pandas"} & modules


def test_ranx_compiles_once_for_ids_of_all_lengths(judged):
    from ranx.metrics.ndcg import _ndcg_parallel

    dataset, rows = judged
    found = Evaluator(dataset).ndcg10(rows)
    compiled = len(_ndcg_parallel.signatures)
    for blank in (3, 17):
        docs = {name + "-" * blank: text for name, text in dataset.docs.items()}
        qrels = {
            query + "-" * blank: {name + "-" * blank: score for name, score in judged.items()}
            for query, judged in dataset.qrels.items()
        }
        longer = Dataset("longer", docs, dict.fromkeys(qrels, ""), qrels)
        np.testing.assert_array_equal(Evaluator(longer).ndcg10(rows), found)
    assert len(_ndcg_parallel.signatures) == compiled
