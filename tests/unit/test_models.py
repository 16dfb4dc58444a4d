"""Loading: LateOn's architecture, bare transformers, and what is not a model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from checkpoints import TEXTS, encoder, options
from pylate.models import ColBERT

from harness.config import entries
from harness.models import untrained
from harness.models.checkpoint import load as load_model
from harness.models.checkpoint import locate, weights_note
from harness.models.inspection import refuse_lengths
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.progress import Progress
from harness.vectors import encode, forward
from harness.vectors.build import build_store
from harness.vectors.encode import Encoder


def test_lateon_architecture_loads_with_its_residual_layers(lateon_like):
    model = options(lateon_like)
    colbert = load_model(model, locate(model, None), torch.device("cpu"), None)
    assert type(colbert[0].auto_model).__name__ == "ModernBertModel"
    assert [getattr(colbert[i], "use_residual", None) for i in range(1, 4)] == [True, True, False]
    (vectors,) = colbert.encode(["wing flow heat"], is_query=False)
    assert vectors.shape[1] == 16 and np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_stores_follow_lengths_and_expansion(lateon_like, tmp_path):
    expanded = encoder(lateon_like, tmp_path, query_expansion=True).encode(TEXTS, "x", True, 12)
    assert expanded.lengths.tolist() == [12, 12, 12]
    plain = encoder(lateon_like, tmp_path, query_expansion=False).encode(TEXTS, "x", True, 12)
    assert plain.lengths.tolist() == [7, 4, 12]  # [CLS] [Q] words [SEP]; queries keep their punctuation
    docs = encoder(lateon_like, tmp_path).encode(TEXTS, "x", False, 12)
    assert docs.lengths.tolist() == [6, 4, 15]  # documents lose theirs
    assert encoder(lateon_like, tmp_path, document_length=8).encode(TEXTS, "x", False, 12).lengths.tolist() == [6, 4, 8]
    assert len({store.path for store in (expanded, plain, docs)}) == 3


def test_batch_size_changes_rounding_only_and_not_the_name(lateon_like, tmp_path):
    one, three = encoder(lateon_like, tmp_path / "1"), encoder(lateon_like, tmp_path / "3")
    one.batch_tokens, three.batch_tokens = 1, 40
    a, b = one.encode(TEXTS, "x", False, None), three.encode(TEXTS, "x", False, None)
    assert a.path.name == b.path.name
    np.testing.assert_allclose(a.flat, b.flat, atol=2e-3)


def test_texts_without_any_token_go_into_batches():
    """A tokenizer without special tokens gives none for an empty text, before PyLate's prefix is added."""
    tokens = {"a b": [1, 2], "c": [3], "": []}
    model = Mock(spec=ColBERT, document_length=9, do_query_expansion=False)
    model.tokenizer = lambda texts, **_: {"input_ids": [tokens[text] for text in texts]}
    assert list(forward._batches(model, ["", "a b", "c", ""], False, 2)) == [[1], [2, 0], [3]]


def test_one_progress_covers_all_chunks_that_are_encoded(lateon_like, tmp_path, monkeypatch):
    phases = []

    def bar(*arguments):
        phases.append((arguments, Progress(arguments[1])))
        return phases[-1][1]

    for module in ("config.shards", "vectors.encode"):
        monkeypatch.setattr(f"harness.{module}.CHUNK", 1)
    monkeypatch.setattr("harness.vectors.encode.bar", bar)
    tiny = encoder(lateon_like, tmp_path)
    tiny.show = True
    for _ in range(2):  # the second time, everything is encoded
        tiny.encode(TEXTS, "x", False, None)
    ((arguments, progress),) = phases
    assert arguments == ("encode x documents", 3, True, "documents", torch.device("cpu")) and progress.done == 3


def test_texts_are_encoded_again_by_other_packages_and_other_code(lateon_like, tmp_path, monkeypatch):
    tiny, versions = encoder(lateon_like, tmp_path), provenance.encoders()
    stores = [tiny.encode(TEXTS, "x", False, None)]
    monkeypatch.setattr(provenance, "encoders", lambda: {**versions, "transformers": "99.0"})
    stores.append(tiny.encode(TEXTS, "x", False, None))
    monkeypatch.setattr(encode, "VERSION", encode.VERSION + 1)
    stores.append(tiny.encode(TEXTS, "x", False, None))
    assert len({store.path for store in stores}) == 3 and versions["torch"] == torch.__version__.split("+")[0]


def test_the_right_dimension_is_asked_for(lateon_like, tmp_path):
    with pytest.raises(HarnessError, match="dimension 16, expected 128"):
        encoder(lateon_like, tmp_path, dim=128).encode(TEXTS, "x", False, None)


def test_a_query_without_tokens_is_named(lateon_like, tmp_path):
    """Put a store in the query store's place whose second text has no token vectors."""
    tiny = encoder(lateon_like, tmp_path)
    made = tiny.encode(TEXTS, "x", True, None)
    shutil.rmtree(made.path)
    rows = [np.eye(16)[:2], np.eye(16)[:0], np.eye(16)[:1]]
    build_store(made.path, list(TEXTS), lambda start, stop: rows[start:stop], made.meta["identity"])
    with pytest.raises(HarnessError, match="query 'b' has no token vectors"):
        tiny.encode(TEXTS, "x", True, None)


def test_nan_weights_are_found(lateon_like, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(lateon_like, tmp_path / "broken")
    weights = load_file(broken / "3_Dense" / "model.safetensors")
    weights["linear.weight"][0, 0] = torch.nan
    save_file(weights, broken / "3_Dense" / "model.safetensors")
    with pytest.raises(HarnessError, match="NaN or infinite token vectors for 'a'"):
        encoder(broken, tmp_path).encode(TEXTS, "x", False, None)


def test_every_weight_is_in_the_hash_and_nothing_else(lateon_like, tmp_path):
    copy = shutil.copytree(lateon_like, tmp_path / "elsewhere")
    (copy / "README.md").write_text("words")
    same = locate(options(copy), None).sha256
    assert same == locate(options(lateon_like), None).sha256
    weights = copy / "2_Dense" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert locate(options(copy), None).sha256 != same


def test_damaged_weights_are_a_sentence(lateon_like, tmp_path):
    copy = shutil.copytree(lateon_like, tmp_path / "cut")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(HarnessError, match=str(copy)):
        encoder(copy, tmp_path).encode(TEXTS, "x", False, None)


def test_pinned_files_are_checked(lateon_like):
    with pytest.raises(HarnessError, match="sha256 [0-9a-f]{12}, expected 0{12}"):
        locate(options(lateon_like, files={"model.safetensors": "0" * 64}), None)


def test_where_a_model_is_looked_for(lateon_like, tmp_path):
    shutil.copytree(lateon_like, tmp_path / "LateOn")
    assert locate(entries.entry("model", "lateon"), str(tmp_path)).folder == tmp_path / "LateOn"
    with pytest.raises(HarnessError, match="no released checkpoint"):
        locate(entries.entry("model", "lateon_reg_smve"), str(tmp_path))


GAPS = {
    "tokenizer.json": "has no file of a tokenizer .tokenizer.json, vocab.txt",
    "config.json": "has no file of the transformer's configuration",
    "model.safetensors": "has no file of the transformer's weights",
    "1_Dense/config.json": "has no 1_Dense/config.json, which its modules.json names",
    "1_Dense/model.safetensors": "has no file of the projection's weights",
}


@pytest.mark.parametrize("name", GAPS)
def test_an_incomplete_copy_is_refused(lateon_like, tmp_path, name):
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    (copy / name).unlink()
    with pytest.raises(HarnessError, match=GAPS[name]):
        locate(options(copy), None)


@pytest.mark.parametrize("words", [5000, 3])
def test_a_vocabulary_of_another_model_is_refused(lateon_like, tmp_path, words):
    """The tokenizer knows more tokens than the model has embeddings of, or far fewer."""
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    name = next(name for name in weights if name.endswith("tok_embeddings.weight"))
    rows = {5000: 4, 3: 5000}[words]
    weights[name] = weights[name][:1].repeat(rows, 1)
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(HarnessError, match=f"tokens and the model has embeddings of {rows}, expected as many"):
        locate(options(copy), None)


def test_two_tokens_with_one_id_are_refused(lateon_like, tmp_path):
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    content = json.loads((copy / "tokenizer.json").read_text())
    content["model"]["vocab"]["heat"] = content["model"]["vocab"]["flow"]
    (copy / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(HarnessError, match=r"tokenizer.json has two tokens with the id \d+, expected an id for each"):
        locate(options(copy), None)


SETTINGS = {
    "query_length": ([], {}, "32", -1, 3, True, 1.5),
    "document_length": ("cosine", {}),
    "query_prefix": (129, ["x"]),
    "prompts": (-1, {"query": 1}, ["x"]),
    "skiplist_words": ("x", [1]),
    "do_query_expansion": ("yes", 1),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in SETTINGS for value in SETTINGS[name]])
def test_settings_of_another_kind_are_refused(lateon_like, tmp_path, name, value):
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    path = copy / "config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(HarnessError, match=f"config_sentence_transformers.json: {name} is .*, expected "):
        locate(options(copy), None)


MODULES = {
    "no module": (lambda modules: [], "its modules are none, expected one Transformer"),
    "no transformer": (lambda modules: modules[1:], "its modules are Dense, Dense, Dense, expected one Transformer"),
    "two transformers": (lambda modules: [modules[0], *modules], "its modules are Transformer, Transformer, Dense"),
    "one missing": (
        lambda modules: [*modules[:1], *modules[2:]],
        "2_Dense/config.json: in_features is 64, expected 32",
    ),
    "in another order": (lambda modules: [modules[0], *modules[:0:-1]], "2_Dense/config.json: in_features is 64, exp"),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_do_not_fit_are_refused(lateon_like, tmp_path, name):
    change, message = MODULES[name]
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    path = copy / "modules.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(HarnessError, match=message):
        locate(options(copy), None)


def test_weights_of_another_shape_are_refused(lateon_like, tmp_path):
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    shutil.copy(copy / "1_Dense" / "model.safetensors", copy / "3_Dense" / "model.safetensors")
    with pytest.raises(
        HarnessError, match=r"3_Dense/model.safetensors: linear.weight has the shape \[64, 32\], expected"
    ):
        locate(options(copy), None)


def test_a_path_that_is_no_folder_says_what_to_write(lateon_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    for path, message in {
        "file": "model.path=file is a file, expected a folder",
        "lightonai/LateOn": "on the hub, write model=lateon",
        "someone/colbert": "write model=local model.hub=someone/colbert model.name=colbert",
        "a/b/c": "the model folder a/b/c does not exist: set model.path",
    }.items():
        with pytest.raises(HarnessError, match=message):
            locate(options(path), None)


def test_lengths_beyond_the_models_positions_are_refused(lateon_like):
    found = locate(options(lateon_like), None).inspection
    assert found.positions == json.loads((lateon_like / "config.json").read_text())["max_position_embeddings"]
    refuse_lengths(found, found.positions, found.positions)
    for lengths, side in (((found.positions + 1, 8), "document"), ((8, found.positions + 1), "query")):
        with pytest.raises(
            HarnessError, match=f"model.{side}_length={found.positions + 1}: .* at most {found.positions}"
        ):
            refuse_lengths(found, *lengths)


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512}, None),
        ({"model_type": "t5", "n_positions": 512}, None),
    ],
)
def test_positions_of_each_kind_of_transformer(lateon_like, config, positions):
    found = replace(locate(options(lateon_like), None).inspection, config=config)
    assert found.positions == positions


def test_random_weights_are_named(lateon_like, tmp_path):
    """A checkpoint is whole; then it lacks a layer's weights, the words before texts, and the projection."""
    from safetensors.torch import load_file, save_file

    assert untrained.notes(options(lateon_like), locate(options(lateon_like), None)) == []
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    lost = next(name for name in weights if "layers.1" in name)
    save_file({name: value for name, value in weights.items() if name != lost}, copy / "model.safetensors")
    settings = json.loads((copy / "config_sentence_transformers.json").read_text())
    settings |= {"query_prefix": "[new] "}
    (copy / "config_sentence_transformers.json").write_text(json.dumps(settings))
    (copy / "modules.json").write_text(json.dumps(json.loads((copy / "modules.json").read_text())[:1]))
    lines = untrained.notes(options(copy, seed=3), locate(options(copy), None))
    assert lines[:2] == [
        "the projection is random (model.seed=3), as the checkpoint has none",
        "the vectors of the tokens '[new] ' are untrained, as the checkpoint's vocabulary lacks them",
    ]
    assert lines[2].startswith("1 of ") and lost.rpartition("layers.")[2] in lines[2]


@pytest.mark.parametrize("kept", [True, False], ids=["whole", "with gaps"])
def test_what_is_called_random_is_what_changes_with_the_seed(lateon_like, tmp_path, kept):
    """The slow way to find random weights: load twice, with two states of torch's generator, and compare."""
    copy = shutil.copytree(lateon_like, tmp_path / "copy")
    if not kept:
        settings = json.loads((copy / "config_sentence_transformers.json").read_text())
        (copy / "config_sentence_transformers.json").write_text(json.dumps(settings | {"query_prefix": "[new] "}))
        (copy / "modules.json").write_text(json.dumps(json.loads((copy / "modules.json").read_text())[:1]))
    checkpoint = locate(options(copy), None)
    one, two = (load_model(options(copy, seed=seed), checkpoint, torch.device("cpu"), None) for seed in (1, 2))
    others = two.state_dict()
    random = {name for name, value in one.state_dict().items() if not torch.equal(value, others[name])}
    lines = untrained.notes(options(copy), checkpoint)
    assert bool(lines) == bool(random) != kept
    if not kept:
        assert random == {"1.linear.weight"} and len(lines) == 2  # of so few tokens, a new one gets the mean


def test_a_projection_that_pylate_adds_is_repeatable():
    """The demonstration's transformer has none: PyLate draws one, from model.seed, and the global state is put back."""
    model = entries.entry("model", "demo")
    checkpoint = locate(model, None)
    found = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        before = torch.random.get_rng_state()
        found.append(load_model({**model, "seed": seed}, checkpoint, torch.device("cpu"), None)[1].linear.weight)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_real_colbert_loads(real_model, tmp_path):
    model = {**entries.entry("model", "answerai_colbert_small"), "path": str(real_model)}
    checkpoint = locate(model, None)
    assert "int8-rounded" in weights_note(model, checkpoint.sha256)
    store = Encoder(model, checkpoint, tmp_path, torch.device("cpu")).encode({"a": "What is drag?"}, "x", True, 32)
    assert store.dim == 96 and store.lengths.tolist() == [32]


def test_token_vectors_are_no_checkpoint():
    with pytest.raises(HarnessError, match="the model 'x' is token vectors, expected a checkpoint"):
        locate({"name": "x", "kind": "vectors", "path": "/x"}, None)
