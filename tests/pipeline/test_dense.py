"""A single-vector model as first stage: its vectors, prefixes and pooling, through the command line and by hand."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from harness import records
from harness.cli import main
from harness.config.entries import choices, entry
from harness.data import beir
from harness.measure.cells import Request
from harness.methods.dense import Dense
from harness.models.single_vector import SingleVectorModel
from harness.ranking.resources import Resources
from harness.sweep import jobs
from harness.system.errors import HarnessError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def denseon_like(lateon_like, tmp_path_factory):
    """DenseOn's architecture, tiny: a ModernBERT, the vector of [CLS], unit length; and prompts, which are not used."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    folder = tmp_path_factory.mktemp("dense") / "denseon-like"
    modules = [Transformer(str(lateon_like)), Pooling(32, pooling_mode="cls"), Normalize()]
    prompts = {"query": "wing ", "document": "rib "}
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder), create_model_card=False)
    return folder


def by_hand(folder, texts):
    """The last hidden state of [CLS], one text at a time, divided by its length."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        found = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0].numpy() for text in texts]
    return np.array([vector / np.linalg.norm(vector) for vector in found])


def test_vectors_are_those_of_cls_with_the_prefixes_of_the_entry(denseon_like):
    model = SingleVectorModel.find(str(denseon_like), None)
    texts = ["wing flow heat", "shock", "layer body plate speed"]
    np.testing.assert_allclose(model.encode(texts, True, CPU), by_hand(denseon_like, texts), atol=1e-5)
    prefixed = SingleVectorModel(
        {**model.options, "query_prefix": "drag ", "document_prefix": "lift "}, model.checkpoint
    )
    for is_query, prefix in ((True, "drag "), (False, "lift ")):
        wanted = by_hand(denseon_like, [prefix + text for text in texts])
        np.testing.assert_allclose(prefixed.encode(texts, is_query, CPU), wanted, atol=1e-5)


def test_long_texts_are_cut(denseon_like):
    found = SingleVectorModel.find(str(denseon_like), None)
    model = SingleVectorModel({**found.options, "max_length": 5}, found.checkpoint)
    np.testing.assert_allclose(
        model.encode(["wing flow heat shock layer"], True, CPU), by_hand(denseon_like, ["wing flow heat"]), atol=1e-5
    )


def test_the_best_documents_are_the_nearest(denseon_like, tiny_dataset, tmp_path):
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    docs, queries = list(dataset.docs.values()), list(dataset.queries.values())
    found = Dense(str(denseon_like)).search_texts(docs, queries, 7, Resources(CPU, 1 << 26, tmp_path))
    scores = by_hand(denseon_like, queries) @ by_hand(denseon_like, docs).T
    for query, rows in enumerate(found.ranking.rows):
        np.testing.assert_allclose(found.ranking.scores[query], np.sort(scores[query])[::-1][:7], atol=1e-5)
        np.testing.assert_allclose(scores[query, rows], np.sort(scores[query])[::-1][:7], atol=1e-5)
    assert found.index_bytes == len(docs) * 32 * 4


def test_through_the_command_line(denseon_like, lateon_like, tiny_dataset, tmp_path, capsys):
    """A row of its own whatever the centering, depths reranked by MaxSim, and the other model in what identifies it."""
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path}", "reference=null"]
    words += [f"cache_dir={tmp_path}", "progress=false", "depths=[0,60]", "method=dense"]
    assert main(["run", *words, f"method.model={denseon_like}", "center=own"]) == 0
    (record,) = records.read_all(tmp_path)
    assert record.method == "dense+model=denseon-like" and str(denseon_like.parent) not in str(record)
    assert record.center == "none" and set(record.ndcg10) == {"0", "60"}
    checkpoint = SingleVectorModel.find(str(denseon_like), None).checkpoint
    assert record.identity["method_inputs"]["encoder"] == checkpoint.sha256 != record.identity["weights"]
    assert main(["run", *words, f"method.model={denseon_like}"]) == 0
    assert "finished before" in capsys.readouterr().err  # no centering changes it
    other = tmp_path / "other" / denseon_like.name
    shutil.copytree(denseon_like, other)
    pooling = json.loads((other / "1_Pooling" / "config.json").read_text())
    (other / "1_Pooling" / "config.json").write_text(json.dumps({**pooling, "pooling_mode": "mean"}))
    assert main(["run", *words, f"method.model={other}"]) == 1  # other files are other inputs
    assert "made with different method_inputs" in capsys.readouterr().err


def test_entries_are_complete():
    for name in choices("encoder"):
        found = entry("encoder", name)
        assert found["name"] == name and found["title"] and found["max_length"] > 0
        assert found.get("package") or (found["hub"] and len(found["revision"]) == 40)
    assert (entry("encoder", "denseon")["query_prefix"], entry("encoder", "denseon")["document_prefix"]) == (
        "query: ",
        "document: ",
    )


def test_a_model_that_is_none(tmp_path):
    with pytest.raises(HarnessError, match="method.model=nothing: expected one of denseon, denseon_unsup, minilm"):
        Dense("nothing").inputs(None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError):
        Dense(str(tmp_path / "empty")).inputs(None)


def test_its_vectors_in_an_index(denseon_like, lateon_like, tiny_dataset, tmp_path):
    """Vectors of random weights lie so close that 16 bits tell few apart; indexes of 32 bits look at all of them."""
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path}", "reference=null"]
    words += [f"cache_dir={tmp_path}", "progress=false", "depths=[0,10]", "method=dense"]
    words += [f"method.model={denseon_like}"]
    assert main(["run", "-m", *words, "index=flat,fp16"]) == 0
    assert main(["run", *words, "index=hnsw", "index.efSearch=60"]) == 0
    found = {record.method.partition("+index=")[2]: record for record in records.read_all(tmp_path)}
    flat, half, graph = (found[name] for name in ("", "fp16", "hnsw+efSearch=60"))
    assert (half.details["code_bytes"], graph.details["code_bytes"]) == (64, 128)
    assert graph.details["index_recall"]["10"] > 0.9
    assert graph.ndcg10["0"] == pytest.approx(flat.ndcg10["0"], abs=0.05)
    assert graph.seconds["dense_encode_queries"] > 1e-3  # the model encodes them


def test_a_worker_gets_the_whole_path_of_a_methods_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for model, placed in (("mine", str(tmp_path / "mine")), ("minilm", "minilm"), ("gone", "gone")):
        request = Request.of({**entry("method", "dense"), "model": model}, entry("center", "none"), asked=True)
        found = jobs._placed(request).method
        assert found.given["model"] == placed and found.identity() == request.method.identity()
