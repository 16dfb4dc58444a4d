"""vectors=FOLDER through the command line: the same vectors as a model's give its scores, in every command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import reference
from vectors_folder import read_side, write_side

from harness import records
from harness.cli import main
from harness.data import beir
from harness.vectors.store import open_store

CELLS = ["center=none,corpus", "query_tokens=real", "method=plaid,muvera,smve,exact,lemur,binary"]
OWN = ["center=own,shrunk", "method=muvera"]
ENCODED = "lateon-like+query_expansion=true"
"""The model whose own token vectors are given."""


@pytest.fixture(scope="module")
def measured(lateon_like, tiny_dataset, tmp_path_factory):
    """The words of a command, and results, of a model and of its own token vectors, given in no order."""
    root = tmp_path_factory.mktemp("given")
    words = [f"dataset.path={tiny_dataset}", f"cache_dir={root / 'cache'}", f"results_dir={root / 'results'}"]
    words += ["progress=false", "depths=[0,5,60]"]
    model = [f"model.path={lateon_like}", "model.query_expansion=true"]
    assert main(["run", "-m", *words, *model, *CELLS]) == 0
    assert main(["run", "-m", *words, *model, *OWN, "reference=null"]) == 0
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    stores = {path.name.rsplit("-", 1)[0]: open_store(path) for path in (root / "cache" / "tokens").glob("*[!k]")}
    folder, rng = root / "mine", np.random.default_rng(1)
    docs = dict(zip(dataset.docs, map(stores["lateon-like-tiny-documents"].__getitem__, range(60)), strict=True))
    write_side(folder / "documents", {name: docs[name] for name in rng.permutation(list(docs)).tolist()})
    asked, others = dataset.queries, dataset.other_queries  # the train queries: mu_Q of center=own
    texts = dict(zip(asked, map(stores["lateon-like-tiny-queries"].__getitem__, range(8)), strict=True))
    # Two stores have the name of the mean's: that of the train queries has five rows.
    means = [open_store(path) for path in (root / "cache" / "tokens").glob("*-mean-queries-*[!k]")]
    (train,) = [store for store in means if len(store) == 5]
    known = {query: row for row, query in enumerate(_in_order(others))}
    texts |= {query: train[known[query]] for query in others}
    lengths = {query: len(text.split()) for query, text in {**asked, **others}.items()}
    expansion = [np.arange(len(texts[query])) >= lengths[query] + 3 for query in texts]  # [CLS] [Q] words [SEP]
    special = [np.isin(np.arange(len(texts[query])), [0, 1, lengths[query] + 2]) for query in texts]
    masks = {"expansion": np.concatenate(expansion), "special": np.concatenate(special)}
    write_side(folder / "queries", texts, **masks)
    given = [*words, f"vectors={folder}"]
    assert main(["run", "-m", *given, *CELLS]) == 0
    return given, root / "results", folder


def _in_order(texts):
    from hashlib import sha256

    return sorted(texts, key=lambda query: sha256(query.encode()).digest())


def cells(results, model):
    return {(record.center, record.method): record for record in records.read_all(results) if record.model == model}


def test_the_same_vectors_give_the_models_scores(measured):
    given, model = cells(measured[1], "mine"), cells(measured[1], ENCODED)
    assert len(given) == 10 and given.keys() <= model.keys()
    for key, record in given.items():
        assert record.per_query == model[key].per_query, key
        assert record.candidate_recall == model[key].candidate_recall


def test_scores_equal_the_reference_by_loops_over_the_users_arrays(measured, tiny_dataset):
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    docs, queries = read_side(measured[2] / "documents"), read_side(measured[2] / "queries")
    wanted = []
    for query in dataset.queries:
        scores = [np.float32(reference.maxsim(queries[query], docs[name])) for name in dataset.docs]
        ranked = [name for name in reference.rank(scores, list(dataset.docs)) if name != query]
        wanted.append(reference.ndcg(ranked, dataset.qrels[query]))
    found = cells(measured[1], "mine")["none", "exact"]
    np.testing.assert_allclose(found.per_query["final"], wanted, atol=1e-9)


def test_a_record_says_what_its_vectors_are(measured):
    record = cells(measured[1], "mine")["corpus+query_tokens=real", "muvera"]
    assert record.identity.keys() == {"dataset", "vectors", "model", "center", "method"}
    assert record.identity["model"] == {} and record.sha256["vectors"] == record.identity["vectors"]
    assert record.notes == ["token vectors were given, not encoded by the harness"]
    assert record.config["model"]["path"] == "mine" and "encode_documents" not in record.seconds


def test_mu_q_comes_from_other_queries_that_were_given(measured, capsys):
    words, results, _ = measured
    assert main(["run", *words, "center=own", "method=muvera", "reference=null"]) == 0
    own = {model: cells(results, model)["own", "muvera"] for model in ("mine", ENCODED)}
    assert own["mine"].per_query == own[ENCODED].per_query
    capsys.readouterr()
    assert main(["run", *words, "center=shrunk", "method=muvera", "reference=null"]) == 1
    lack = "mine/queries lacks 60 of the 60 queries, such as 'snippet of d"
    text = capsys.readouterr().err
    assert lack in text and "or choose center=corpus, text or none" in text


def test_what_is_recommended_needs_no_encoder(measured, capsys):
    words, results, _ = measured
    assert main(["run", "-m", *words, "center=recommended", "method=muvera,smve,binary"]) == 0
    found = cells(results, "mine").keys()
    real = "corpus+query_tokens=real"
    assert {("text+query_tokens=real", "muvera"), (real, "smve"), (real, "binary")} <= found
    shown = capsys.readouterr().out
    assert "| mine | text+query_tokens=real |" in shown and "| mine | yes+query_tokens=real |" in shown


def test_pooling_is_that_of_a_model_for_every_method(measured, tmp_path):
    """Each method sees the pooled vectors, and MaxSim reranks by them: over all documents that is exact search."""
    words = [word for word in measured[0] if not word.startswith(("results_dir", "depths"))]
    words += [f"results_dir={tmp_path}", "pool=hierarchical", "reference=null", "depths=[0,60]"]
    assert main(["run", "-m", *words, "method=exact,plaid,muvera,smve,binary", "center=none"]) == 0
    found = {method: record for (_, method), record in cells(tmp_path, "mine+pool=hierarchical").items()}
    (tokens,) = {record.details["document_tokens"] for record in found.values()}
    assert tokens < cells(measured[1], "mine")["none", "exact"].details["document_tokens"] and len(found) == 5
    for method in ("muvera", "smve", "binary"):
        assert found[method].ndcg10["60"] == pytest.approx(found["exact"].ndcg10["final"], abs=1e-6)
    assert found["plaid"].ndcg10["final"] == pytest.approx(found["exact"].ndcg10["final"], abs=0.1)


def test_shards_give_the_same_scores(small_chunks, measured, tmp_path):
    words = [word for word in measured[0] if not word.startswith(("results_dir", "cache_dir"))]
    words += [f"results_dir={tmp_path}", f"cache_dir={tmp_path}"]
    words += ["reference=null", "method=muvera", "center=none", "query_tokens=real"]
    assert main(["run", *words, "shard=1/2"]) == 0 and not cells(tmp_path, "mine")
    assert main(["run", *words, "shard=2/2"]) == 0
    found = cells(tmp_path, "mine")["none+query_tokens=real", "muvera"]
    assert found.details["shards"] == 2
    assert found.per_query == cells(measured[1], "mine")["none+query_tokens=real", "muvera"].per_query


def test_tables_report_and_figures_show_it(measured, tmp_path, capsys):
    words = [word for word in measured[0] if not word.startswith(("cache_dir", "progress"))]
    assert main(["table", *words, "significance=true", "cost=true"]) == 0
    shown = capsys.readouterr().out
    assert "| mine |" in shown and "lateon-like" not in shown and "token vectors were given" in shown
    page = tmp_path / "report.html"
    assert main(["report", *words, f"output={page}"]) == 0
    text = page.read_text()
    assert "Given token vectors, sha256" in text and "model=vectors model.path=mine" in text
    assert main(["plot", *words, f"figures_dir={tmp_path}", "what=depth"]) == 0


def test_status_counts_it(measured, capsys):
    assert main(["status", "-m", *measured[0], "center=none", "query_tokens=real", "method=muvera,smve"]) == 0
    assert "3 of 3 cells done" in capsys.readouterr().out


def test_geometry_looks_at_the_means_that_are_known(measured, tmp_path, capsys):
    words = [word for word in measured[0] if not word.startswith("results_dir")] + ["method=muvera"]
    words = [word for word in words if not word.startswith("depths")]
    assert main(["geometry", *words, f"results_dir={tmp_path / 'a'}"]) == 0
    assert "mu_Q: 5 of 5 queries of tiny/train" in capsys.readouterr().out
    folder = shutil.copytree(measured[2], tmp_path / "fewer")
    texts = read_side(folder / "queries")
    write_side(folder / "queries", dict(list(texts.items())[:8]))
    words = [word for word in words if not word.startswith("vectors")]
    assert main(["geometry", *words, f"vectors={folder}", f"results_dir={tmp_path / 'b'}"]) == 0
    assert "mu_Q: unknown, as no queries for it were given" in capsys.readouterr().out
    (file,) = (tmp_path / "b").rglob("*.json")
    assert list(json.loads(file.read_text())["documents"]) == ["raw", "centered"]
    assert main(["plot", "what=spectrum", words[0], f"results_dir={tmp_path / 'b'}", f"vectors={folder}"]) == 0


def test_a_record_can_be_reproduced(measured, tiny_dataset, capsys):
    words, results, folder = measured
    path = records.record_path(results, "tiny", "mine", "none+query_tokens=real", "muvera")
    cache = next(word for word in words if word.startswith("cache_dir"))
    data = f"data_dir={tiny_dataset.parent}"
    assert main(["reproduce", str(path), cache, data, f"vectors={folder}"]) == 0
    assert "Verdict: same" in capsys.readouterr().out
    assert main(["reproduce", str(path), cache, data, f"models_dir={folder.parent}"]) == 0


def test_other_vectors_do_not_take_the_records_place(measured, tmp_path, capsys):
    words, _, folder = measured
    other = shutil.copytree(folder, tmp_path / "mine")
    texts = read_side(other / "documents")
    write_side(other / "documents", {name: -text for name, text in texts.items()})
    words = [word for word in words if not word.startswith("vectors")]
    assert main(["run", *words, f"vectors={other}", "method=exact", "reference=null"]) == 1
    assert "was made with different vectors: set overwrite=true" in capsys.readouterr().err


def test_what_cannot_be_measured_is_a_sentence(measured, tmp_path, capsys):
    words, _, folder = measured
    words = [word for word in words if not word.startswith(("vectors", "dataset"))]
    data = next(word for word in measured[0] if word.startswith("dataset"))
    cases = {
        f"vectors={folder} belongs to one data set, and none was named": [f"vectors={folder}"],
        "vectors=/nowhere is no folder, expected one with documents/ and queries/": [data, "vectors=/nowhere"],
        "is a model by itself: leave model=lateon out": [data, f"vectors={folder}", "model=lateon"],
        "has token vectors of dimension 16, expected 12": [data, f"vectors={folder}", "model.dim=12"],
        "model=vectors names no folder: set model.path": [data, "model=vectors"],
    }
    for expected, more in cases.items():
        assert main(["run", *words, *more]) in (1, 2)
        text = capsys.readouterr().err
        assert expected in text and "Traceback" not in text
