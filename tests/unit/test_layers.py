"""What is trained beside the head: the last layers on the output of frozen ones, and the adapter."""

from __future__ import annotations

import shutil

import checkpoints
import numpy as np
import pytest
import torch
from checkpoints import TEXTS, encoder
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import WORDS, with_dropout

from harness.models import adapter, heads
from harness.models.layers import HIDDEN, LastLayers, placed
from harness.system.errors import HarnessError
from harness.training.cached import CachedTexts, LayersCollator
from harness.training.codes import MuveraCodes
from harness.training.loss import STEContrastive, TokenMeans
from harness.training.queries import MASK, CodesMask
from harness.training.trainer import _trainable, _turn_off_dropout
from harness.vectors.forward import looked_at, vectors

CPU = torch.device("cpu")
SIDES = pytest.mark.parametrize(("is_query", "length"), [(True, 12), (False, None)])


@pytest.fixture(scope="session")
def bert_like(lateon_like, tmp_path_factory):
    """A ColBERT of answerai-colbert-small's architecture, tiny, without dropout: BERT and one projection."""
    from pylate.models import ColBERT, Dense
    from sentence_transformers.models import Transformer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(lateon_like.parent / "backbone", folder / "backbone")
    (folder / "backbone" / "model.safetensors").unlink()
    torch.manual_seed(12)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(vocab_size=6 + len(WORDS), max_position_embeddings=128, pad_token_id=0, **sizes, **off)
    BertModel(config).save_pretrained(folder / "backbone")
    modules = [Transformer(str(folder / "backbone")), Dense(32, 16, bias=False)]
    ColBERT(modules=modules, device="cpu", document_length=48).save(str(folder / "bert"), create_model_card=False)
    return folder / "bert"


@pytest.fixture(params=["bert", "modernbert"])
def path(request, bert_like, lateon_like):
    return bert_like if request.param == "bert" else lateon_like


def load(path, **changes):
    return checkpoints.load(path, 12, **changes).eval()


@pytest.mark.parametrize("expansion", [True, False])
@pytest.mark.parametrize("is_query", [True, False])
@pytest.mark.parametrize("count", [1, 2])
def test_the_layers_below_and_above_the_cut_are_the_transformer(path, expansion, is_query, count):
    model = load(path, query_expansion=expansion)
    features = model.tokenize(list(TEXTS.values()), is_query=is_query)
    with torch.no_grad():
        whole = model[0](dict(features))["token_embeddings"]
        last = LastLayers(model, count)
        features[HIDDEN] = last.below(features)
        found = last.above(features)
    assert not torch.allclose(features[HIDDEN], whole, atol=0.01)
    torch.testing.assert_close(found, whole, atol=1e-6, rtol=1e-5)


def test_layers_above_the_cut_are_not_computed_for_those_below(path):
    model = load(path)
    last = LastLayers(model, 1)
    last._first.register_forward_hook(lambda *_: pytest.fail("the layer above the cut was computed"))
    for _ in range(2):  # the first call leaves nothing behind
        assert last.below(model.tokenize(list(TEXTS.values()), is_query=False)).shape[-1] == 32
    with pytest.raises(pytest.fail.Exception, match="was computed"):
        model[0](model.tokenize(["wing"], is_query=False))


@pytest.mark.parametrize("is_query", [True, False])
def test_texts_of_other_lengths_stand_where_they_stood(path, is_query, rng):
    """Texts of about the same length go through together, without the padding of the longest; in the order given."""
    model = load(path)
    last = LastLayers(model, 1)
    texts = [" ".join(rng.choice(WORDS, count)) for count in rng.permutation(21) + 1]
    features = model.tokenize(texts, is_query=is_query)
    seen = looked_at(model, features, is_query)
    with torch.no_grad():
        whole = model[0](dict(features))["token_embeddings"]
        below = last.below(features)
        found = last.above({**features, HIDDEN: placed([row[m] for row, m in zip(below, seen, strict=True)], seen)})
    assert found.shape == whole.shape
    torch.testing.assert_close(found[seen], whole[seen], atol=1e-6, rtol=1e-5)


def test_a_cut_below_all_layers_is_behind_the_embeddings(path):
    model = load(path)
    count = model[0].auto_model.config.num_hidden_layers
    names = LastLayers(model, count).names(model)
    assert names and not any("embeddings" in name or "pooler" in name for name in names)
    with pytest.raises(HarnessError, match=f"more layers than the {count} of this model"):
        LastLayers(model, count + 1)


def texts_of(seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, int(rng.integers(3, 12)))) + " ." for _ in range(4)]


def examples():
    columns = {name: texts_of(seed) for seed, name in enumerate(("query", "positive", "negative"))}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def three_steps(model, batch, last):
    """The parameters after three steps of AdamW, and the codes' mean of documents."""
    model.train()
    means = TokenMeans(16, "own", 0.9)
    loss = STEContrastive(model, MuveraCodes(16, 4, 3, 8, 1, 10.0), means, 0.5, 0.05, 0.05, last)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
    columns = ("query", "positive", "negative")
    split = [{k.removeprefix(f"{name}_"): v for k, v in batch.items() if k.startswith(f"{name}_")} for name in columns]
    for _ in range(3):
        optimizer.zero_grad()
        sum(loss(split).values()).backward()
        optimizer.step()
    return model.state_dict(), means.documents


@pytest.mark.parametrize("exact", [True, False])
def test_steps_on_cached_outputs_are_those_through_the_whole_model(path, tmp_path, exact):
    """With the lower layers frozen; `exact` outputs are float32, those in the cache float16.

    A first step of Adam is as large for a gradient near 0 as for any other, so that rounding can turn single steps:
    with float16, what is compared is the mean over a tensor.
    """
    from pylate.utils import ColBERTCollator

    whole, _ = _trainable(load(path), "layers:1", 0)
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    tokens = ColBERTCollator(whole.tokenize)(examples())
    wanted, wanted_mean = three_steps(whole, tokens, None)

    model, last = _trainable(load(path), "layers:1", 0)
    if exact:
        batch = dict(tokens)
        for column in ("query", "positive", "negative"):
            features = {key: tokens[f"{column}_{key}"] for key in ("input_ids", "attention_mask")}
            with torch.no_grad():
                batch[f"{column}_{HIDDEN}"] = last.below(features)
    else:
        tiny = encoder(path, tmp_path)
        queries, documents = (
            [t for e in examples() for k, t in e.items() if (k == "query") is q] for q in (True, False)
        )
        sides = (CachedTexts(tiny, [texts], q, 12, {}, 1) for texts, q in ((queries, True), (documents, False)))
        batch = LayersCollator(model, *sides, {})(examples())
    found, mean = three_steps(model, batch, last)
    moved = {name for name in before if not torch.equal(before[name], wanted[name])}
    assert moved == set(heads.parameters(model, "layers:1")) and any(name.startswith("0.") for name in moved)
    assert all(torch.equal(found[name], value) for name, value in before.items() if name not in moved)
    for name in moved:
        off, step = (found[name] - wanted[name]).abs(), (wanted[name] - before[name]).abs()
        if "key.bias" not in name:  # its gradient is 0 but for rounding, as a softmax does not see it
            assert off.max() < 1e-5 if exact else off.mean() < 0.05 * step.mean(), name
    torch.testing.assert_close(mean, wanted_mean, atol=2e-3, rtol=0)


def test_a_model_without_dropout_is_in_training_what_it_is_in_use(path, tmp_path):
    model = load(with_dropout(path, tmp_path / "dropout"))
    features = model.tokenize(list(TEXTS.values()), is_query=False)

    def given():
        return model(dict(features))["token_embeddings"].detach()

    wanted = given()
    model.train()
    assert not torch.allclose(given(), wanted, atol=0.01) and not torch.equal(given(), given())
    _turn_off_dropout(model)
    torch.testing.assert_close(given(), wanted, atol=1e-6, rtol=1e-5)


@SIDES
@pytest.mark.parametrize("what", ["layers:1", "layers:2", "adapter"])
def test_a_trained_file_gives_what_the_whole_model_gives(path, tmp_path, what, is_query, length):
    model, _ = _trainable(load(path), what, 3)
    torch.manual_seed(1)
    with torch.no_grad():
        for value in heads.parameters(model, what).values():
            value.add_(0.1 * torch.randn_like(value))
    heads.write(model, tmp_path / "trained.safetensors", what)
    model.save(str(tmp_path / "whole"), create_model_card=False)
    through = encoder(path, tmp_path, head=str(tmp_path / "trained.safetensors"))
    found, whole = (
        each.encode(TEXTS, "x", is_query, length) for each in (through, encoder(tmp_path / "whole", tmp_path))
    )
    assert found.lengths.tolist() == whole.lengths.tolist()
    np.testing.assert_allclose(found.flat, whole.flat, atol=4e-3)
    assert np.abs(found.flat - encoder(path, tmp_path).encode(TEXTS, "x", is_query, length).flat).max() > 0.02
    assert through.checkpoint.trained == what and through.checkpoint.sha256 != encoder(path, tmp_path).checkpoint.sha256


def test_models_that_differ_above_the_cut_share_what_is_below(bert_like, tmp_path, monkeypatch):
    model, _ = _trainable(load(bert_like), "layers:1", 0)
    for name in "ab":
        with torch.no_grad():
            model[1].linear.weight.add_(0.1)
        heads.write(model, tmp_path / f"{name}.safetensors", "layers:1")
        encoder(bert_like, tmp_path, head=str(tmp_path / f"{name}.safetensors")).encode(TEXTS, "x", False, None)
    folders = sorted(folder.name.split("-")[0] for folder in (tmp_path / "tokens").iterdir() if folder.is_dir())
    assert folders == ["backbone", "tiny", "tiny"]
    own = encoder(bert_like, tmp_path)
    assert len({own.backbone(_texts(), cut).path for cut in (0, 1, 2)}) == 3


def _texts():
    from harness.vectors.texts import Texts

    return Texts(TEXTS, "x", False, None)


@pytest.mark.parametrize("is_query", [True, False])
def test_a_new_adapter_changes_nothing(path, is_query):
    texts, model = list(TEXTS.values()), load(path)
    before, dense = vectors(model, texts, is_query, 1000), len(model)
    adapter.insert(model, 5)
    assert len(model) == dense + 2 and model[1].out_features == 64 and model[2].out_features == 32
    for found, wanted in zip(vectors(model, texts, is_query, 1000), before, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    other = load(path)
    adapter.insert(other, 6)
    assert not torch.equal(other[1].linear.weight, model[1].linear.weight)  # the features to choose from are drawn


def test_an_adapter_is_no_linear_map(bert_like):
    model, _ = _trainable(load(bert_like), "adapter", 0)
    with torch.no_grad():
        model[2].linear.weight.normal_()
        one, two = torch.randn(2, 5, 32)
        apart, together = heads.forward(model, one) + heads.forward(model, two), heads.forward(model, one + two)
    assert (apart - together).abs().max() > 0.1


def test_pylate_alone_loads_a_model_with_an_adapter(bert_like, tmp_path):
    from pylate.models import ColBERT

    model, _ = _trainable(load(bert_like), "adapter", 0)
    with torch.no_grad():
        model[2].linear.weight.normal_()
    model.save(str(tmp_path / "whole"), create_model_card=False)
    wanted = vectors(model, ["wing flow heat"], False, 1000)
    (found,) = ColBERT(str(tmp_path / "whole"), device="cpu", document_length=48).encode(
        ["wing flow heat"], is_query=False
    )
    np.testing.assert_allclose(found, wanted[0], atol=1e-5)


def test_a_file_says_what_it_holds(bert_like, lateon_like, tmp_path):
    for what in ("head", "adapter", "layers:2"):
        model, _ = _trainable(load(bert_like), what, 0)
        heads.write(model, tmp_path / "h.safetensors", what)
        with safe_open(tmp_path / "h.safetensors", "pt") as file:
            assert file.metadata() == (None if what == "head" else {"trained": what})
        assert heads.trained(tmp_path / "h.safetensors") == what
        with pytest.raises(HarnessError, match="it belongs to a different model"):
            load(lateon_like, head=str(tmp_path / "h.safetensors"))
    tensors = load_file(tmp_path / "h.safetensors")
    save_file(tensors, tmp_path / "h.safetensors", {"trained": "layers:0; import os"})
    with pytest.raises(HarnessError, match="expected head, adapter or layers:N"):
        load(bert_like, head=str(tmp_path / "h.safetensors"))
    save_file(tensors, tmp_path / "h.safetensors", {"trained": "layers:9"})
    with pytest.raises(HarnessError, match="more layers than the 3 of this model"):
        load(bert_like, head=str(tmp_path / "h.safetensors"))


def test_queries_have_the_lengths_of_their_sources(path, tmp_path):
    """In the cache, in the batches, and in what the codes see; the model keeps its own length."""
    tiny = encoder(path, tmp_path)
    model, last = _trainable(tiny.pylate(12), "layers:1", 0)
    asked = ("wing flow heat", "drag lift")
    lengths = {"drag lift": 20}
    queries = CachedTexts(tiny, [asked[:1], asked], True, 12, lengths, 1)
    documents = CachedTexts(tiny, [asked], False, None, {}, 1)
    assert [len(queries[text]) for text in asked] == [12, 20]
    rows = [{"query": "drag lift", "positive": "wing flow heat"}]
    batch = CodesMask(LayersCollator(model, queries, documents, lengths), model, "real", lengths)(rows)
    assert batch[f"query_{HIDDEN}"].shape[1] == batch["query_input_ids"].shape[1] == 20 and model.query_length == 12
    assert batch[f"query_{MASK}"].sum() == 5  # [CLS] [Q] drag lift [SEP]
    assert last is not None


def test_expansion_tokens_are_kept_out_of_the_codes_alone(bert_like):
    """The codes' term is that of a model whose queries end before them; MaxSim's term sees all tokens."""
    model = load(bert_like)
    features = [model.tokenize(texts_of(seed), is_query=seed == 0) for seed in (0, 1)]
    mask = features[0]["attention_mask"].bool()
    assert not mask.all()
    terms = []
    for more in ({}, {MASK: mask}):
        loss = STEContrastive(model, MuveraCodes(16, 4, 3, 8, 1, 10.0), TokenMeans(16, "own", 0.0), 0.5, 0.05, 0.05)
        terms.append(loss([{**features[0], **more}, features[1]]))
        wanted = vectors(model, texts_of(0), True, 1000)
        rows = [row[seen[: len(row)]] for row, seen in zip(wanted, mask.numpy(), strict=True)] if more else wanted
        np.testing.assert_allclose(loss.means.queries, np.concatenate(rows).mean(axis=0), atol=1e-5)
    assert terms[0]["maxsim"] == terms[1]["maxsim"] and terms[0]["codes"] != terms[1]["codes"]
