"""The rivals through the command line: records, names, what is shared between cells, and what is told to the user."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from tiny import in_memory

from harness import records
from harness.cli import main
from harness.data import beir
from harness.evaluation.ndcg import Evaluator
from harness.measure import pseudo_queries
from harness.methods import registry
from harness.methods.lemur import Lemur
from harness.ranking.ranks import drop_self_matches
from harness.vectors.store import open_store


@pytest.fixture(scope="module")
def measured(lateon_like, tiny_dataset, tmp_path_factory):
    """Results and cache of every rival under two centerings, on the tiny data set."""
    results, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={results}", "reference=null"]
    words += [f"cache_dir={cache}", "progress=false", "depths=[0,60]"]
    assert main(["run", "-m", *words, "method=bm25,lemur,binary", "center=none,corpus"]) == 0
    lemur = ["method=lemur", "method.features=12", "method.learn_tokens=100000", "method.seeds=2"]
    assert main(["run", "-m", *words, *lemur, "method.learn=pseudo_queries", "center=corpus,own"]) == 0
    return words, results, cache


def of(measured, method):
    found = [record for record in records.read_all(measured[1]) if record.method == method]
    return {record.center: record for record in found}


def test_bm25_has_one_record_and_the_others_one_for_each_centering(measured):
    assert set(of(measured, "bm25")) == {"none"}
    assert set(of(measured, "lemur")) == set(of(measured, "binary")) == {"none", "corpus"}


def test_full_depth_is_exact_maxsim_where_every_document_was_found(measured):
    values = {record.ndcg10["60"] for method in ("lemur", "binary") for record in of(measured, method).values()}
    assert len(values) == 1


def test_1_bit_codes_are_uncentered_unless_one_says_so(measured, capsys):
    words = [word for word in measured[0] if not word.startswith("results_dir")]
    assert main(["run", *words, "method=binary", "--cfg", "job"]) == 0
    assert "center:\n  name: none\n" in capsys.readouterr().out


def test_lemur_learns_from_pseudo_queries_as_the_first_stage_sees_them(measured, tiny_dataset, resources):
    """The same search of vectors that were centered here; what it learns from is less the same mean as the queries."""
    found = of(measured, "lemur+features=12+learn=pseudo_queries+learn_tokens=100000")
    assert set(found) == {"corpus", "own"} and all(len(record.draws.seeds) == 2 for record in found.values())
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    lengths = sorted(len(text.split()) for text in dataset.queries.values())
    snippets = pseudo_queries.snippets(dataset.docs, lengths, 1000)
    stores = [open_store(path) for path in (measured[2] / "tokens").iterdir() if path.is_dir()]
    texts = {store.path.name: [store[row] for row in range(len(store))] for store in stores}

    def texts_of(name, count):
        (found,) = [some for path, some in texts.items() if f"tiny-{name}-" in path and len(some) == count]
        return found

    taught, train = texts_of("mean-queries", len(snippets)), texts_of("mean-queries", 5)
    encoded, asked = texts_of("documents", 60), texts_of("queries", 8)
    mu_d = reference.token_mean(encoded)
    for center, mean in (("corpus", mu_d), ("own", reference.token_mean(train))):
        record = found[center]
        source = "pseudo-queries, snippets of the corpus as long as the evaluated queries"
        assert record.details["learned_from"] == f"{len(snippets)} {source}"
        assert record.details["learning_tokens"] == sum(map(len, taught))
        docs, queries, learn = (
            in_memory([text - shift.astype(np.float32) for text in some])
            for some, shift in ((encoded, mu_d), (asked, mean), (taught, mean))
        )
        rows = {name: row for row, name in enumerate(dataset.docs)}
        self_rows = np.array([rows.get(name, -1) for name in dataset.queries])
        for draw, seed in enumerate(record.draws.seeds):
            method = registry.make(
                {"name": "lemur", "features": 12, "learn": "documents", "learn_tokens": 10**5, "seed": seed}
            )
            ranking = method.taught(learn).search(docs, queries, 61, resources()).ranking
            best, _ = drop_self_matches(ranking, self_rows, 60)
            scores = Evaluator(dataset).ndcg10(best.rows)
            assert record.draws.ndcg10["0"][draw] == pytest.approx(scores, abs=0.05)  # near ties may fall either way
        assert record.identity["method_inputs"].keys() == {"teachers"}


def test_draws_that_share_their_work_are_one_search_and_a_further_one_is_searched_alone(measured, monkeypatch):
    words = ["run", *measured[0], "method=lemur", "method.features=8", "method.learn=pseudo_queries", "center=corpus"]
    searched = []
    whole = Lemur.search_draws

    def counted(draws, *others):
        searched.append([method.seed for method, _ in draws])
        return whole(draws, *others)

    monkeypatch.setattr(Lemur, "search_draws", staticmethod(counted))
    for seeds in (2, 3):
        assert main([*words, f"method.seeds={seeds}"]) == 0
    assert searched == [[42, 43], [44]]
    together = of(measured, "lemur+features=8+learn=pseudo_queries")["corpus"]
    assert main([*words, "method.seeds=3", "overwrite=true"]) == 0
    again = of(measured, "lemur+features=8+learn=pseudo_queries")["corpus"]
    assert searched[2:] == [[42, 43, 44]] and together.draws.seeds == again.draws.seeds == (42, 43, 44)
    np.testing.assert_array_equal(together.draws.ndcg10["0"], again.draws.ndcg10["0"])


@pytest.mark.parametrize("how", [[], ["hydra/launcher=joblib"]])
def test_a_method_that_reads_texts_needs_no_token_vector_until_something_is_reranked(measured, tmp_path, how):
    words = [word for word in measured[0] if not word.startswith(("results_dir", "cache_dir", "depths"))]
    words += [f"results_dir={tmp_path}", f"cache_dir={tmp_path / 'cache'}", "method=bm25"]
    if how:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    assert main(["run", *(["-m", *how] if how else []), *words, "depths=[0]"]) == 0
    assert not [*tmp_path.rglob("meta.json")]
    (alone,) = records.read_all(tmp_path)
    assert alone.ndcg10 == {"0": of(measured, "bm25")["none"].ndcg10["0"]}
    assert "tokens" not in alone.bytes and "document_tokens" not in alone.details and alone.details["documents"] == 60
    shown = [word for word in words if not word.startswith(("cache_dir", "progress", "reference"))]
    assert main(["table", *shown, "cost=true"]) == 0
    record, places = tmp_path / "records/tiny/lateon-like/none/bm25.json", [*words[:2], *words[-2:-1]]
    assert main(["reproduce", str(record), *places]) == 0
    assert not [*tmp_path.rglob("meta.json")]
    assert main(["run", *words, "depths=[0,60]"]) == 0
    (both,) = records.read_all(tmp_path)
    assert both.ndcg10 == of(measured, "bm25")["none"].ndcg10 and both.bytes["tokens"] > 0
