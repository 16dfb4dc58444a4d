"""A model is data: no code of its own, no pickle, no file beyond its folder.

Each attack is made for real: its payload would make a file, the marker.
"""

from __future__ import annotations

import importlib
import json
import shutil

import numpy as np
import pytest
import torch
from attacks import Payload, change, module, pickled, pickled_backbone, refused, to_pickle
from safetensors.torch import load_file, save_file

from harness.cli import main
from harness.config import compose, entries
from harness.models import heads
from harness.models.checkpoint import load as load_model
from harness.models.checkpoint import locate
from harness.system.errors import HarnessError

CPU = torch.device("cpu")


def test_the_payloads_work_where_code_is_let_run(tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    np.save(tmp_path / "a.npy", pickled(marker), allow_pickle=True)
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert marker.exists()
    marker.unlink()
    torch.save({"weight": Payload(marker)}, tmp_path / "a.bin")
    torch.load(tmp_path / "a.bin", weights_only=False)
    assert marker.exists()
    marker.unlink()
    (tmp_path / "worse.py").write_text(f"open({str(marker)!r}, 'w').close()")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("worse")
    assert marker.exists()


def options(path, **changes):
    return {**entries.entry("model", "local"), "name": "tiny", "path": str(path), **changes}


def load(path, **changes):
    model = options(path, **changes)
    return load_model(model, locate(model, None), CPU, None)


def pickled_layer(model, marker):
    to_pickle(model / "1_Dense" / "model.safetensors", marker)
    (model / "1_Dense" / "model.safetensors").unlink()


def pickled_beside(model, marker):
    """With options by which transformers takes the pickle, and trusts it."""
    to_pickle(model / "model.safetensors", marker)
    change(model / "sentence_bert_config.json", model_args={"use_safetensors": False, "weights_only": False})


def pickled_pieces(model, marker):
    to_pickle(model / "model.safetensors", marker)
    (model / "pytorch_model.bin").rename(model / "pytorch_model-00001-of-00001.bin")
    names = dict.fromkeys(load_file(model / "model.safetensors"), "pytorch_model-00001-of-00001.bin")
    (model / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (model / "model.safetensors").unlink()


def pickled_in_an_index(model, marker):
    pickled_pieces(model, marker)
    (model / "pytorch_model.bin.index.json").rename(model / "model.safetensors.index.json")


def pickled_adapter(model, marker):
    torch.save({"more": Payload(marker)}, model / "adapter_model.bin")
    change(model / "adapter_config.json", base_model_name_or_path="../other", peft_type="LORA")


def named_weights(model, _):
    change(model / "config.json", transformers_weights="../../other.safetensors")


def module_of_its_own(model, _):
    shutil.copy(model.parent / "evil" / "__init__.py", model / "modeling.py")
    module(model, 1, type="modeling.Module")


def module_on_the_path(model, _):
    module(model, 1, type="evil.Dense")


def module_that_loads_others(model, _):
    """sentence-transformers' own, which imports what its configuration names."""
    module(model, 1, type="sentence_transformers.models.Router")


def module_elsewhere(model, _):
    module(model, 1, path="../lateon-like/1_Dense")


def module_at_the_root(model, _):
    module(model, 1, path=str(model / "1_Dense"))


def module_elsewhere_on_windows(model, _):
    module(model, 1, path="..\\other")


def activation_on_the_path(model, _):
    change(model / "1_Dense" / "config.json", activation_function="evil.run")


def activation_of_the_library(model, _):
    change(model / "1_Dense" / "config.json", activation_function="os.getcwd")


def tokenizer_elsewhere(model, _):
    change(model / "sentence_bert_config.json", tokenizer_name_or_path="/somewhere/else")


def remote_configuration(model, _):
    shutil.copy(model.parent / "evil" / "__init__.py", model / "modeling_evil.py")
    change(model / "config.json", model_type="evil", auto_map={"AutoConfig": "modeling_evil.Module"})


def remote_tokenizer(model, _):
    shutil.copy(model.parent / "evil" / "__init__.py", model / "tokenization_evil.py")
    names = {"AutoTokenizer": ["tokenization_evil.Module", "tokenization_evil.Module"]}
    change(model / "tokenizer_config.json", tokenizer_class="Module", auto_map=names)
    (model / "tokenizer.json").rename(model / "tokenizer.model")


def no_list(model, _):
    (model / "modules.json").write_text('{"type": "evil.Module"}')


def too_deep(model, _):
    (model / "modules.json").write_text("[" * 200_000)


MODELS = {
    pickled_backbone: r"pytorch_model\.bin has weights as a pickle.* expected model\.safetensors",
    pickled_layer: r"1_Dense/pytorch_model\.bin has weights as a pickle",
    pickled_beside: "has the options model_args, expected only do_lower_case, max_seq_length",
    pickled_pieces: r"pytorch_model-00001-of-00001\.bin has weights as a pickle",
    pickled_in_an_index: r"has the weights 'pytorch_model-00001-of-00001\.bin', expected \*\.safetensors beside it",
    pickled_adapter: "has an adapter for another model, expected one complete model",
    named_weights: r"has the weights '../../other\.safetensors'",
    module_of_its_own: r"has the module 'modeling\.Module', expected a Transformer and Dense layers of PyLate",
    module_on_the_path: r"has the module 'evil\.Dense'",
    module_that_loads_others: r"has the module 'sentence_transformers\.models\.Router'",
    module_elsewhere: "has the folder '../lateon-like/1_Dense', expected folders inside the checkpoint",
    module_at_the_root: "has the folder '/.*', expected folders inside",
    module_elsewhere_on_windows: "has the folder .*other', expected folders inside",
    activation_on_the_path: r"has the activation function 'evil\.run', expected one of torch\.nn",
    activation_of_the_library: r"has the activation function 'os\.getcwd'",
    tokenizer_elsewhere: "has the options tokenizer_name_or_path",
    remote_configuration: "cannot load a ColBERT model",
    remote_tokenizer: "cannot load a ColBERT model",
    no_list: r"cannot read .*modules\.json \(expected a list of objects\)",
    too_deep: r"cannot read .*modules\.json \(RecursionError\)",
}


@pytest.mark.parametrize("attack", MODELS, ids=lambda attack: attack.__name__)
def test_a_model_that_names_code_or_a_pickle_is_refused(attack, lateon_like, tmp_path, evil, marker):
    model = shutil.copytree(lateon_like, tmp_path / "model")
    attack(model, marker)
    with pytest.raises(HarnessError, match=MODELS[attack]) as error:
        load(model)
    assert "\n" not in str(error.value)


def test_the_library_alone_would_run_a_checkpoints_code(lateon_like, tmp_path):
    """Why `refuse_code` is there: trust_remote_code=False does not cover modules.json."""
    from pylate.models import ColBERT

    model = shutil.copytree(lateon_like, tmp_path / "model")
    (model / "worst.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Module:\n    pass\n")
    module(model, 1, type="worst.Module")
    with pytest.raises(Exception):  # noqa: B017, PT011 (whatever it fails with, the code has run)
        ColBERT(str(model), device="cpu", trust_remote_code=False, local_files_only=True)
    assert (tmp_path / "ran").exists()


def test_code_beside_a_model_that_needs_none_is_not_run(lateon_like, tmp_path, evil):
    """transformers knows ModernBERT: a map to other code is not followed."""
    model = shutil.copytree(lateon_like, tmp_path / "model")
    shutil.copy(tmp_path / "evil" / "__init__.py", model / "modeling_evil.py")
    change(model / "config.json", auto_map=dict.fromkeys(["AutoConfig", "AutoModel"], "modeling_evil.Module"))
    assert type(load(model)[0].auto_model).__name__ == "ModernBertModel"


def test_no_word_turns_a_models_code_on(lateon_like, tiny_dataset, tmp_path, evil, capsys):
    model = shutil.copytree(lateon_like, tmp_path / "model")
    remote_configuration(model, None)
    words = ["run", f"model.path={model}", f"dataset.path={tiny_dataset}", f"cache_dir={tmp_path / 'cache'}"]
    words += [f"results_dir={tmp_path / 'results'}", "center=none", "method=exact", "reference=null"]
    assert "Could not override 'model.trust_remote_code'" in refused([*words, "model.trust_remote_code=true"], capsys)
    assert "unknown option 'model.trust_remote_code'" in refused([*words, "+model.trust_remote_code=true"], capsys)
    assert main(words) == 1
    assert "cannot load a ColBERT model" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["head.bin", "head.pt", "head.safetensors"])
def test_a_head_that_is_a_pickle_is_refused(name, lateon_like, tmp_path, marker):
    torch.save({"1.linear.weight": Payload(marker)}, tmp_path / name)
    with pytest.raises(HarnessError, match=r"cannot read the head .*expected a \*\.safetensors file"):
        load(lateon_like, head=str(tmp_path / name))


def test_a_heads_name_leads_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setattr(heads, "SHIPPED", tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(HarnessError, match="does not exist"):
        heads.find("../other")


def test_a_package_is_found_and_not_imported(evil, tmp_path):
    (tmp_path / "evil" / "part").mkdir()
    (tmp_path / "evil" / "part" / "__init__.py").write_text("")
    for name in ("evil", "evil.part"):
        with pytest.raises(HarnessError):
            locate({**options("x"), "path": None, "package": name, "folder": "model"}, None)


def test_an_attention_of_the_hub_is_refused():
    """transformers would fetch the kernels of another name, and run them."""
    with pytest.raises(HarnessError, match="model.attention=someone/kernels: expected one of eager, sdpa"):
        compose.composed(["model=lateon", "model.attention=someone/kernels"])
