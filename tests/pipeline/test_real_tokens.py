"""Parts of queries, pseudo-queries and centering by text, through the command line, against the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from tiny import in_memory

from harness import records
from harness.cli import main
from harness.config import entries
from harness.data import beir
from harness.evaluation.ndcg import Evaluator
from harness.measure import pseudo_queries
from harness.methods import registry
from harness.methods.muvera import Muvera
from harness.ranking.ranks import drop_self_matches
from harness.vectors.store import open_store

SHARES = {"corpus": (0.0, 0.0), "text": (1.0, 1.0), "shrunk": (0.5, 0.0)}
"""Weights of a query's and of a document's own mean."""


@pytest.fixture(scope="module")
def measured(lateon_like, tiny_dataset, tmp_path_factory):
    """Every centering with real tokens: results, the token stores by what they are of."""
    results, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={results}", "reference=null"]
    words += [f"cache_dir={cache}", "progress=false", "depths=[0,60]", "model.query_expansion=true", "method=muvera"]
    assert main(["run", "-m", *words, "center=corpus,text", "query_tokens=real"]) == 0
    assert main(["run", "-m", *words, "center=shrunk"]) == 0
    stores = [path for path in (cache / "tokens").iterdir() if path.is_dir()]
    return results, {path.name.rsplit("-", 1)[0]: open_store(path) for path in stores}


def texts_of(store, texts, before=0, after=None):
    """The token vectors of each text; with `after`, those of its words, `before` fewer and `after` more."""
    ends = [None if after is None else len(text.split()) + max(before, after) for text in texts.values()]
    return [store[row][before:end] for row, end in enumerate(ends)]


@pytest.mark.parametrize("center", SHARES)
def test_the_first_stage_sees_what_the_definition_says(measured, tiny_dataset, make_store, resources, center):
    results, stores = measured
    (record,) = [one for one in records.read_all(results) if one.center.split("+")[0] == center]
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    docs = texts_of(next(store for name, store in stores.items() if name.endswith("documents")), dataset.docs)
    (asked,) = [store for name, store in stores.items() if name.endswith("queries") and "mean" not in name]
    before, after = (2, 0) if center == "shrunk" else (0, 3)  # of [CLS] [Q] words [SEP], the words or all
    queries = texts_of(asked, dataset.queries, before, after)
    mu_d, (share, of_documents) = reference.token_mean(docs), SHARES[center]
    mu_q = mu_d
    if center == "shrunk":
        (mean,) = [store for name, store in stores.items() if "mean" in name]
        wanted = [len(text.split()) for text in dataset.queries.values()]
        snippets = pseudo_queries.snippets(dataset.docs, sorted(wanted), 400)
        mu_q = reference.token_mean(texts_of(mean, snippets, before, after))

    def centered(texts, mean, weight):
        return [reference.center(text, reference.text_shift(text, mean, weight)).astype(np.float32) for text in texts]

    options = registry.arguments(entries.entry("method", "muvera"))
    found = Muvera(**options).search(
        in_memory(centered(docs, mu_d, of_documents)), in_memory(centered(queries, mu_q, share)), 60, resources()
    )
    rows = {name: row for row, name in enumerate(dataset.docs)}
    own = np.array([rows.get(query, -1) for query in dataset.queries])
    ranking, _ = drop_self_matches(found.ranking, own, 60)
    np.testing.assert_allclose(record.per_query["0"], Evaluator(dataset).ndcg10(ranking.rows), atol=1e-12)


def test_exact_search_and_reranking_see_all_tokens(measured):
    results, _ = measured
    scores = [record.per_query["60"] for record in records.read_all(results)]
    assert len(scores) == 3 and scores[0] == scores[1] == scores[2]


def test_a_record_says_where_the_mean_is_from(measured):
    (shrunk,) = [record for record in records.read_all(measured[0]) if record.center == "shrunk"]
    assert shrunk.notes[-1] == "mu_Q: 60 pseudo-queries, snippets of the corpus as long as the evaluated queries"
    assert {record.center for record in records.read_all(measured[0])} == {
        "corpus+query_tokens=real",
        "text+query_tokens=real",
        "shrunk",
    }
