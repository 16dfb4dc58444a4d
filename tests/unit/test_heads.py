"""Heads: written and put back, one backbone for several, and what is not a head of the model."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from checkpoints import TEXTS, encoder, load, options
from safetensors.torch import load_file, save_file

from harness.config import entries, names
from harness.models import heads
from harness.models.checkpoint import locate
from harness.system.errors import HarnessError
from harness.vectors.texts import Texts

CPU = torch.device("cpu")
SIDES = pytest.mark.parametrize(("is_query", "length"), [(True, 12), (False, None)])


@pytest.fixture
def changed(lateon_like, tmp_path):
    """The model with another projection, saved whole, and the file of its head."""

    def make(seed=1):
        model = load(lateon_like)
        torch.manual_seed(seed)
        with torch.no_grad():
            for value in heads.parameters(model).values():
                value.add_(0.3 * torch.randn_like(value))
        model.save(str(tmp_path / f"whole{seed}"), create_model_card=False)
        heads.write(model, tmp_path / f"{seed}.safetensors")
        return tmp_path / f"whole{seed}", tmp_path / f"{seed}.safetensors"

    return make


def test_a_head_is_all_that_follows_the_transformer(lateon_like, changed):
    _, head = changed()
    shapes = {name: tuple(value.shape) for name, value in load_file(head).items()}
    assert {name.split(".")[0] for name in shapes} == {"1", "2", "3"}
    assert shapes["1.linear.weight"] == (64, 32) and shapes["3.linear.weight"] == (16, 32)
    assert shapes["1.residual.weight"] == (64, 32)  # LateOn's first two layers are residual


def test_what_is_written_is_put_back(lateon_like, changed):
    whole, head = changed()
    model, wanted = load(lateon_like), load(whole).state_dict()
    assert not torch.equal(model.state_dict()["3.linear.weight"], wanted["3.linear.weight"])
    heads.put(model, head)
    assert all(torch.equal(value, wanted[name]) for name, value in model.state_dict().items())


def test_the_option_puts_a_head_into_the_model(lateon_like, changed):
    whole, head = changed()
    found, wanted = load(lateon_like, head=str(head)).state_dict(), load(whole).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())


def test_a_head_changes_the_weights_hash_and_not_the_backbones(lateon_like, changed, tmp_path):
    _, one = changed(1)
    _, two = changed(2)
    same = shutil.copy(one, tmp_path / "copy.safetensors")
    plain, first, second, third = (
        locate(options(lateon_like, head=head and str(head)), None) for head in (None, one, two, same)
    )
    assert len({plain.sha256, first.sha256, second.sha256}) == 3 and third.sha256 == first.sha256
    assert {plain.sha256} == {one.backbone for one in (plain, first, second, third)}


@SIDES
def test_vectors_are_those_of_the_whole_model(lateon_like, changed, tmp_path, is_query, length):
    """The backbone's vectors are float16 in between."""
    whole, head = changed()
    direct = encoder(whole, tmp_path).encode(TEXTS, "x", is_query, length)
    through = encoder(lateon_like, tmp_path, head=str(head)).encode(TEXTS, "x", is_query, length)
    assert through.lengths.tolist() == direct.lengths.tolist() and through.dim == 16
    np.testing.assert_allclose(through.flat, direct.flat, atol=2e-3)
    own = encoder(lateon_like, tmp_path).encode(TEXTS, "x", is_query, length)
    assert np.abs(own.flat - direct.flat).max() > 0.05


def test_a_models_own_head_gives_its_own_vectors(lateon_like, tmp_path):
    heads.write(load(lateon_like), tmp_path / "own.safetensors")
    direct = encoder(lateon_like, tmp_path).encode(TEXTS, "x", False, None)
    through = encoder(lateon_like, tmp_path, head=str(tmp_path / "own.safetensors")).encode(TEXTS, "x", False, None)
    assert through.path != direct.path
    np.testing.assert_allclose(through.flat, direct.flat, atol=2e-3)


def test_heads_share_one_backbone_store(lateon_like, changed, tmp_path, monkeypatch):
    one, two = (encoder(lateon_like, tmp_path, head=str(changed(seed)[1])) for seed in (1, 2))
    first = one.encode(TEXTS, "x", False, None)
    calls = []
    monkeypatch.setattr("harness.vectors.encode.vectors", lambda *_: calls.append(1))
    second = two.encode(TEXTS, "x", False, None)
    assert not calls and first.path != second.path and np.abs(first.flat - second.flat).max() > 0.05
    folders = sorted(path.name for path in (tmp_path / "tokens").iterdir() if path.is_dir())
    assert [name.split("-")[0] for name in folders] == ["backbone", "tiny", "tiny"]


@pytest.mark.parametrize("expansion", [True, False])
def test_backbone_vectors_are_of_the_same_tokens(lateon_like, tmp_path, expansion):
    tiny = encoder(lateon_like, tmp_path, query_expansion=expansion)
    model = tiny.pylate(12)
    for is_query in (True, False):
        backbone = tiny.backbone(Texts(TEXTS, "x", is_query, 12))
        direct = tiny.encode(TEXTS, "x", is_query, 12)
        assert backbone.dim == 32 and backbone.lengths.tolist() == direct.lengths.tolist()
        for row in range(len(TEXTS)):
            np.testing.assert_allclose(heads.project(model, backbone[row]), direct[row], atol=2e-3)


def test_batch_size_changes_rounding_only_through_a_head(lateon_like, changed, tmp_path):
    _, head = changed()
    one, three = (encoder(lateon_like, tmp_path / name, head=str(head)) for name in "13")
    one.batch_tokens, three.batch_tokens = 1, 40
    a, b = (each.encode(TEXTS, "x", False, None) for each in (one, three))
    assert a.path.name == b.path.name
    np.testing.assert_allclose(a.flat, b.flat, atol=2e-3)


def test_shards_go_through_a_head(lateon_like, changed, tmp_path, monkeypatch):
    from harness.config.shards import Shard

    for module in ("config.shards", "vectors.encode"):
        monkeypatch.setattr(f"harness.{module}.CHUNK", 1)
    _, head = changed()
    tiny = encoder(lateon_like, tmp_path, head=str(head))
    whole = tiny.encode(TEXTS, "x", False, None)
    parts = [tiny.encode(TEXTS, "x", False, None, Shard(number, 3)) for number in (1, 2, 3)]
    np.testing.assert_array_equal(np.concatenate([part.flat for part in parts]), whole.flat)


def test_another_models_head_is_refused(lateon_like, changed, tmp_path):
    _, head = changed()
    tensors = load_file(head)
    for name, other in {
        "narrow": {**tensors, "3.linear.weight": torch.zeros(8, 32)},
        "less": {key: value for key, value in tensors.items() if key != "2.linear.weight"},
        "more": {**tensors, "4.linear.weight": torch.zeros(16, 16)},
    }.items():
        save_file(other, tmp_path / f"{name}.safetensors")
        with pytest.raises(HarnessError, match="it belongs to a different model"):
            load(lateon_like, head=str(tmp_path / f"{name}.safetensors"))


def test_a_damaged_head_is_a_sentence(lateon_like, changed, tmp_path):
    _, head = changed()
    for name, content in {"cut": head.read_bytes()[:-100], "words": b"not a head", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HarnessError, match=f"cannot read the head .*{name}"):
            load(lateon_like, head=str(tmp_path / name))


def test_a_head_that_is_not_there_is_a_sentence(lateon_like, tmp_path):
    with pytest.raises(HarnessError, match="does not exist: set model.head"):
        locate(options(lateon_like, head=str(tmp_path / "gone.safetensors")), None)


def test_a_shipped_head_is_found_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.models.heads.SHIPPED", tmp_path)
    (tmp_path / "good.safetensors").write_bytes(b"")
    assert heads.find("good") == tmp_path / "good.safetensors"
    with pytest.raises(HarnessError, match=r"a shipped head \(good\)"):
        heads.find("bad")


def test_an_interrupted_write_leaves_the_old_head(lateon_like, changed, monkeypatch):
    _, head = changed()
    before = head.read_bytes()
    monkeypatch.setattr("harness.system.files.os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        heads.write(load(lateon_like), head)
    assert head.read_bytes() == before and not list(head.parent.glob(".*.tmp"))


def test_a_cells_name_has_the_head(tmp_path):
    """By the file's name, or the folder's, where the file is just called head.safetensors."""
    lateon = entries.entry("model", "lateon")
    expected = {"runs/mine/head.safetensors": "mine", "good": "good", "some/other.safetensors": "other"}
    for head, name in expected.items():
        assert names.variant("model", {**lateon, "head": head}) == f"lateon+head={name}"
    assert names.variant("model", lateon) == "lateon"
