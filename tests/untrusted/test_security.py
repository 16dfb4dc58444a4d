"""What comes from strangers (models, data sets, archives, records) is data: each attack here is made for real.

An attack's payload makes a file, the marker; the first test shows that it does so wherever code is let run.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib
import io
import json
import pickle
import re
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from tiny import WORDS, unit, write_dataset

from harness import records
from harness.cli import main
from harness.config import compose, entries
from harness.data import beir, download, loading
from harness.geometry import file
from harness.measure import artifacts
from harness.methods.plaid import MARKER as PLAID_MARKER
from harness.methods.plaid import Plaid
from harness.models import heads
from harness.models.checkpoint import load as load_model
from harness.models.checkpoint import locate
from harness.reproduce import rerun
from harness.system import files
from harness.system.errors import HarnessError
from harness.training.folder import RunFolder
from harness.vectors.build import PARTS, build_store
from harness.vectors.store import META

CPU = torch.device("cpu")
SECRET = "the-value-of-a-secret"


@pytest.fixture
def marker(tmp_path):
    """The file that a payload makes; it must not be there when the test ends."""
    path = tmp_path / "the-code-has-run"
    yield path
    assert not path.exists()


class Payload:
    """An object whose unpickling makes the marker."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def pickled(marker):
    """An array that only a pickle can hold."""
    array = np.empty(1, dtype=object)
    array[0] = Payload(marker)
    return array


@pytest.fixture
def evil(marker, tmp_path, monkeypatch):
    """A module on the path whose import, call or instance makes the marker; its source."""
    text = (
        f"open({str(marker)!r}, 'w').close()\nclass Module:\n    pass\nclass Dense(Module):\n    pass\nrun = Module\n"
    )
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield text
    assert sys.modules.pop("evil", None) is None


def refused(words, capsys):
    """The one sentence that a command says instead of doing anything."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


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


# Arrays


def in_a_zip(marker):
    archive = io.BytesIO()
    every = "rows scores facts seconds sums tokens lengths".split()
    np.savez(archive, **{name: pickled(marker) for name in every})
    return archive.getvalue()


def in_a_single_array(marker):
    archive = io.BytesIO()
    np.save(archive, pickled(marker), allow_pickle=True)
    return archive.getvalue()


def as_it_is(marker):
    return pickle.dumps(Payload(marker))


FORMS = pytest.mark.parametrize("form", [in_a_zip, in_a_single_array, as_it_is])


def plant(path, content):
    """A file with the checksum that the harness's own have: an attacker writes it as well as we do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content + b"crc32 %08x\n" % zlib.crc32(content))


@FORMS
@pytest.mark.parametrize("read", [files.read_arrays, artifacts.read_candidates, artifacts.read_maxsim])
def test_arrays_that_are_pickles_are_refused(read, form, marker, tmp_path):
    plant(tmp_path / "x.npz", form(marker))
    with pytest.raises(HarnessError, match=r"x\.npz is damaged \(.*pickle.*\): delete it and run again"):
        read(tmp_path / "x.npz")


@FORMS
def test_an_encoded_chunk_that_is_a_pickle_is_refused(form, marker, tmp_path, rng):
    plant(tmp_path / "store" / PARTS / "0-2.npz", form(marker))
    texts = [unit(rng, 3, 8), unit(rng, 2, 8)]
    with pytest.raises(HarnessError, match=r"0-2\.npz is damaged"):
        build_store(tmp_path / "store", ["a", "b"], lambda a, b: texts[a:b], {})
    assert not (tmp_path / "store" / META).exists()


@pytest.mark.pipeline
def test_an_index_of_plaid_that_is_pickles_is_refused(make_store, rng, resources, marker):
    docs, queries = make_store([unit(rng, 12, 16) for _ in range(60)]), make_store([unit(rng, 4, 16)])
    plaid = Plaid(4, 4, 8, 8192, 42)
    plaid.search(docs, queries, 10, resources())
    (path,) = resources().cache.rglob(PLAID_MARKER)
    content = json.loads(path.read_text())
    del content["crc32"]  # the marker, too, is the stranger's
    for array in path.parent.glob("*.npy"):
        np.save(array, pickled(marker), allow_pickle=True)
        content["files"][array.name] = {"bytes": array.stat().st_size, "crc32": zlib.crc32(array.read_bytes())}
    path.write_text(json.dumps(content))
    with pytest.raises(HarnessError, match=r"PLAID.*delete the index folder and run again"):
        plaid.search(docs, queries, 10, resources())


# Models


def options(path, **changes):
    return {**entries.entry("model", "local"), "name": "tiny", "path": str(path), **changes}


def load(path, **changes):
    model = options(path, **changes)
    return load_model(model, locate(model, None), CPU, None)


def to_pickle(path, marker):
    """Weights as a pickle with a payload, in place of the safetensors."""
    torch.save({**load_file(path), "more": Payload(marker)}, path.with_name("pytorch_model.bin"))


def change(path, **values):
    """Some values of a JSON file."""
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}))


def module(model, number, **values):
    """Some values of an entry of modules.json."""
    found = json.loads((model / "modules.json").read_text())
    found[number] |= values
    (model / "modules.json").write_text(json.dumps(found))


def pickled_backbone(model, marker):
    to_pickle(model / "model.safetensors", marker)
    (model / "model.safetensors").unlink()


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
    (model / "tokenizer.json").unlink()


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
    assert main([*words, "+model.trust_remote_code=true"]) == 1
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


# Training


@pytest.fixture(scope="module")
def stopped(lateon_like, tmp_path_factory):
    """(The words of a training run, its folder): stopped by the user after the checkpoint of step 2."""
    from harness.training.validate import Validation

    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("training")
    docs = {f"d{i}": " ".join(rng.choice(WORDS, int(rng.integers(4, 12)))) for i in range(40)}
    queries = {f"q{i}": " ".join(docs[f"d{i}"].split()[:4]) for i in range(30)}
    source = write_dataset(folder / "one", docs, queries, {f"q{i}": {f"d{i}": 1} for i in range(30)})
    small = "batch_size=4 max_steps=6 warmup=1 learning_rate=1e-3 log_every=1 validate_every=3 save_every=2".split()
    words = ["train", f"model.path={lateon_like}", f"train_data.path={source}", f"cache_dir={folder / 'cache'}"]
    words += ["train_data.split=test", "train_data.validation_share=0.4", "progress=false", "objective=ste_smve"]
    words += [f"train.{word}" for word in small]
    calls, measure = [], Validation.measure

    def interrupted(self, model):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(self, model)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Validation, "measure", interrupted)
        main([*words, f"train.output={folder / 'run'}"])
    return words, folder / "run"


def checkpoint_means(folder, marker):
    (folder / "means.safetensors").write_bytes(pickle.dumps(Payload(marker)))


def checkpoint_optimizer(folder, marker):
    torch.save(Payload(marker), folder / "optimizer.pt")


def checkpoint_scheduler(folder, marker):
    torch.save(Payload(marker), folder / "scheduler.pt")


def checkpoint_random_state(folder, marker):
    torch.save(Payload(marker), folder / "rng_state.pth")


def checkpoint_weights(folder, marker):
    pickled_backbone(folder, marker)


def checkpoint_module(folder, marker):
    (folder / "worst.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Module:\n    pass\n")
    module(folder, 1, type="worst.Module")


CHECKPOINTS = {
    checkpoint_means: r"means\.safetensors is damaged .*: delete the folder .*checkpoint-2 to resume",
    checkpoint_optimizer: "holds something else than tensors",
    checkpoint_scheduler: "holds something else than tensors",
    checkpoint_random_state: "holds something else than tensors",
    checkpoint_weights: "has weights as a pickle",
    checkpoint_module: r"has the module 'worst\.Module'",
}


@pytest.mark.training
@pytest.mark.parametrize("attack", CHECKPOINTS, ids=lambda attack: attack.__name__)
def test_a_checkpoint_with_a_pickle_or_code_is_not_resumed_from(attack, stopped, tmp_path, marker, capsys):
    words, run = stopped
    run = shutil.copytree(run, tmp_path / "run")
    attack(run / "checkpoints" / "checkpoint-2", marker)
    capsys.readouterr()
    assert main([*words, f"train.output={run}"]) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert re.search(CHECKPOINTS[attack], said)


def test_a_folder_that_is_no_checkpoint_is_passed_over(tmp_path):
    for name in ("checkpoint-x", "checkpoint-1"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        save_file({"documents": torch.zeros(2)}, tmp_path / "checkpoints" / name / "means.safetensors")
    found = RunFolder(tmp_path, {}, replaces=False).checkpoint()
    assert found is not None and found[0].name == "checkpoint-1"


# Archives


def zipped(tmp_path, members):
    """A zip in the cache, and its MD5: an attacker may have made what the MD5 is of."""
    archive = tmp_path / "cache" / "x.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return archive


def unpack(archive):
    return download.unpack(archive, hashlib.md5(archive.read_bytes()).hexdigest(), archive.parent / "x")


@pytest.mark.parametrize("name", ["../evil", "../../evil", "x/../../evil", "/tmp/harness-evil", "..//evil"])
def test_a_zip_that_leaves_its_folder_is_not_unpacked(name, tmp_path):
    archive = zipped(tmp_path, [("x/corpus.jsonl", "{}"), (name, "x")])
    with pytest.raises(HarnessError, match="points outside its folder; it was not unpacked"):
        unpack(archive)
    assert [path.name for path in tmp_path.rglob("*")] == ["cache", "x.zip"]
    assert not Path("/tmp/harness-evil").exists()


def test_a_zip_with_a_link_is_not_unpacked(tmp_path):
    link, through = zipfile.ZipInfo("x/qrels"), "x/qrels/evil"
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = zipped(tmp_path, [(link, str(tmp_path)), (through, "x")])
    with pytest.raises(HarnessError, match="contains 'x/qrels', a link or a device; it was not unpacked"):
        unpack(archive)
    assert not (tmp_path / "evil").exists() and not (tmp_path / "cache" / "x").exists()


def test_a_zip_that_claims_or_has_a_huge_size_is_not_unpacked(tmp_path):
    archive = zipped(tmp_path, [("x/corpus.jsonl", b"\0" * 20_000_000)])
    assert archive.stat().st_size < 30_000
    with pytest.raises(HarnessError, match="would unpack to 20000000 bytes, expected at most .* not unpacked"):
        unpack(archive)
    assert [path.name for path in archive.parent.iterdir()] == ["x.zip"]


def test_what_is_no_zip_is_a_sentence(tmp_path):
    archive = tmp_path / "cache" / "x.zip"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as file:
        outside = tarfile.TarInfo("../evil")
        outside.size = 1
        file.addfile(outside, io.BytesIO(b"x"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        file.addfile(link)
    with pytest.raises(HarnessError, match="cannot be unpacked .*BadZipFile"):
        unpack(archive)
    assert [path.name for path in tmp_path.rglob("*")] == ["cache", "x.zip"]


def test_a_zip_that_lies_about_a_size_is_a_sentence_and_nothing_is_kept(tmp_path):
    archive = zipped(tmp_path, [("x/corpus.jsonl", "some text that is longer than it says")])
    content = archive.read_bytes()
    central = content.index(b"PK\x01\x02")
    archive.write_bytes(content[: central + 24] + (5).to_bytes(4, "little") + content[central + 28 :])
    with pytest.raises(HarnessError, match="cannot be unpacked"):
        unpack(archive)
    assert [path.name for path in archive.parent.iterdir()] == ["x.zip"]


# Words of the command line

TO_CODE = {
    "+model._target_=os.mkdir +model.path={marker}": "an override cannot name code to run",
    "method._target_=os.mkdir": "an override cannot name code to run",
    "+method={{_target_:os.mkdir,path:{marker}}}": "an override cannot name code to run",
    "hydra.launcher._target_=os.mkdir": "an override cannot name code to run",
    "hydra.sweeper._target_=os.mkdir": "an override cannot name code to run",
    "+hydra.callbacks.x._target_=os.mkdir +hydra.callbacks.x.path={marker}": "an override cannot name code to run",
    "+hydra.callbacks={{x:{{_target_:os.mkdir,path:{marker}}}}}": "an override cannot name code to run",
    "+hydra/callbacks=evil": "of Hydra's own options, expected hydra/launcher=NAME",
    "+hydra/callbacks@hydra.callbacks.x=evil": "of Hydra's own options",
    "+model@hydra.launcher=demo": "of Hydra's own options",
    "hydra.launcher=evil": "of Hydra's own options",
    "hydra.launcher.x=${{oc.decode:x}}": "of Hydra's own options",
    "hydra/sweeper=evil": "of Hydra's own options",
    "hydra.searchpath=[pkg://evil]": "of Hydra's own options",
    "hydra.searchpath=[file:///tmp]": "of Hydra's own options",
    "hydra.job_logging.formatters.simple.()=os.getcwd": "of Hydra's own options",
    "hydra/job_logging=evil": "of Hydra's own options",
    "hydra.job.env_set.PATH=/tmp": "of Hydra's own options",
    "hydra/launcher=evil": "unknown launcher 'evil'",
    "hydra/launcher=../../evil": "unknown launcher '../../evil'",
    "-m hydra/launcher=basic,evil": "unknown launcher 'evil'",
    "--config-dir={marker}": "unknown option --config-dir",
    "-cd {marker}": "unknown option -cd",
    "--config-path=/tmp": "unknown option --config-path",
    "--config-name=evil --cfg job": "unknown option --config-name",
    "--experimental-rerun={marker}.pickle": "unknown option --experimental-rerun",
    "--exp={marker}.pickle": "unknown option --exp",
    "--cfg job hydra.launcher._target_=os.mkdir": "an override cannot name code to run",
}


@pytest.mark.parametrize("words", TO_CODE)
def test_words_that_name_code_are_refused(words, evil, marker, capsys):
    said = refused(["run", "model=lateon", *words.format(marker=marker).split()], capsys)
    assert TO_CODE[words] in said


@pytest.mark.skipif(find_spec("hydra_plugins") is None, reason="`make launchers` installs launchers")
@pytest.mark.parametrize(
    ("launcher", "word", "text"),
    [
        ("submitit_slurm", "setup=['touch {marker}']", "the option setup is ['touch {marker}'], and no option may"),
        ("submitit_slurm", "+additional_parameters.setup=x", "the option setup is 'x', and no option may"),
        ("submitit_slurm", "partition='a\ntouch {marker}'", "the launcher's option 'partition' is 'a\\ntouch"),
        ("ray", "+ray.init.runtime_env.working_dir={marker}", "the option runtime_env is {{'working_dir'"),
        ("ray", "+ray.remote.runtime_env.pip=[evil]", "the option runtime_env is {{'pip': ['evil']}}"),
    ],
)
def test_words_that_give_launchers_commands_are_refused(launcher, word, text, marker, capsys, tmp_path):
    sign = "+" if word.startswith("+") else ""
    words = [f"hydra/launcher={launcher}", f"{sign}hydra.launcher.{word.lstrip('+').format(marker=marker)}"]
    places = [f"cache_dir={tmp_path / 'c'}", f"results_dir={tmp_path / 'r'}"]
    assert text.format(marker=marker) in refused(["run", "-m", "experiment=demo", *places, *words], capsys)


@pytest.mark.parametrize("command", ["table", "check", "train", "geometry", "plot", "report", "status", "bench"])
def test_every_command_refuses_code(command, marker, capsys):
    assert "cannot name code" in refused(
        [command, f"+hydra.callbacks={{x:{{_target_:os.mkdir,path:{marker}}}}}"], capsys
    )
    assert "cannot name code" in refused(["cache", "ls", "hydra.launcher._target_=os.mkdir"], capsys)


@pytest.mark.parametrize("word", ["hydra/launcher=basic", "hydra.sweep.dir=/tmp/x", "hydra.mode=RUN"])
def test_hydras_harmless_options_stay(word):
    assert "hydra" not in compose.composed(["model=lateon", word])


OURS = ", which is none of ours: remove it there"
CONFIGS = {
    "callbacks: {x: {_target_: os.mkdir, path: MARKER}}": r"names the code 'os\.mkdir' \(_target_\)" + OURS,
    "launcher: {_target_: evil.run}": r"names the code 'evil\.run' \(_target_\)" + OURS,
    "job_logging: {formatters: {simple: {(): os.getcwd}}}": r"names the code 'os\.getcwd' \(\(\)\)" + OURS,
    "job_logging: {handlers: {console: {class: evil.Module}}}": r"names the code 'evil\.Module' \(class\)" + OURS,
    "job_logging: {handlers: {console: {stream: 'ext://os.sep'}}}": r"names the code 'ext://os\.sep' \(stream\)" + OURS,
    "job: {env_set: {PYTHONPATH: MARKER}}": r"the option env_set is {'PYTHONPATH': .*}, and no option may",
}


@pytest.mark.parametrize("content", CONFIGS)
def test_code_in_a_configuration_file_is_refused(content, evil, marker, tmp_path, monkeypatch, capsys):
    shutil.copytree(entries.CONF_DIR, tmp_path / "conf")
    text = content.replace("MARKER", str(marker))
    (tmp_path / "conf" / "experiment" / "gift.yaml").write_text(f"# @package _global_\nhydra:\n  {text}\n")
    monkeypatch.setattr(entries, "CONF_DIR", tmp_path / "conf")
    for words in (["experiment=gift"], ["-m", "experiment=demo,gift"]):
        said = refused(["run", "model=lateon", *words], capsys)
        assert re.search(CONFIGS[content], said)


@pytest.mark.skipif(find_spec("hydra_plugins") is None, reason="`make launchers` installs launchers")
def test_a_launcher_in_a_configuration_file_is_refused(tmp_path, monkeypatch, capsys):
    """Past the units of `harness.sweep.jobs`, and with options of its own."""
    shutil.copytree(entries.CONF_DIR, tmp_path / "conf")
    gift = "# @package _global_\ndefaults:\n  - override /hydra/launcher: joblib\n"
    (tmp_path / "conf" / "experiment" / "gift.yaml").write_text(gift)
    monkeypatch.setattr(entries, "CONF_DIR", tmp_path / "conf")
    for words in (["experiment=gift"], ["-m", "experiment=gift", "center=none,corpus"]):
        said = refused(["run", "model=lateon", *words], capsys)
        assert "conf/ chooses the launcher 'joblib': expected it as a word, hydra/launcher=joblib" in said


# Names


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "..", ".", "''", ".hidden", "x" * 300, "'a b'", "'a\\b'"])
@pytest.mark.parametrize("group", ["dataset", "model"])
def test_a_name_that_is_no_file_name_is_refused(group, name, tiny_dataset, lateon_like):
    folder = {"dataset": tiny_dataset, "model": lateon_like}[group]
    with pytest.raises(HarnessError, match="cannot be a file name: expected letters"):
        compose.composed(compose.expand([f"{group}.path={folder}", f"{group}.name={name}"]))


@pytest.mark.parametrize("command", ["run", "train", "status", "geometry"])
def test_no_command_writes_outside_its_folders(command, tiny_dataset, lateon_like, tmp_path, capsys):
    place = tmp_path / "a" / "b" / "c"
    words = [f"dataset.path={tiny_dataset}", f"model.path={lateon_like}", f"train_data.path={tiny_dataset}"]
    words += [f"cache_dir={place / 'cache'}", f"results_dir={place / 'results'}"]
    for name in ("dataset.name=../../../evil", "model.name=../../../evil", f"model.name={tmp_path / 'evil'}"):
        assert "cannot be a file name" in refused([command, *words, name], capsys)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["a\0b", "a\nb", "x" * 300, f"fine/{'x' * 300}", "~no-such-user-as-this/x", 5])
@pytest.mark.parametrize("option", ["model.path", "dataset.path", "cache_dir", "data_dir", "output"])
def test_a_path_that_no_file_can_have_is_a_sentence(option, path):
    composed = compose.composed(["model=local", "model.path=x", "dataset=local", "dataset.path=y"])
    OmegaConf.update(composed, option, path)
    with pytest.raises(HarnessError, match=f"{option}=.*: expected a "):
        compose.prepare(composed)


@pytest.mark.parametrize("name", ["../x", "/etc", "..", "", "a/b", "*", None])
def test_a_data_sets_name_is_never_a_path(name, tmp_path):
    write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    (tmp_path / "data").mkdir()
    with pytest.raises(HarnessError, match=r"dataset\.name=.*expected a name .*, not a path"):
        loading.folder({"name": name, "md5": "0" * 32}, str(tmp_path / "data"), tmp_path / "cache")
    with pytest.raises(HarnessError, match=r"dataset\.split=.*not a path"):
        beir.read_folder("x", tmp_path / "x", name or "", None)


@pytest.mark.parametrize(
    "name", ["a\tb", "a\nb", "a\rb", "a\0b", "a\u2028b", "", True, None, ["a"], float("nan"), 10**25]
)
def test_an_id_that_would_break_a_line_is_refused(name, tmp_path):
    folder = write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    line = json.dumps({"_id": name, "text": "three"})
    with open(folder / "corpus.jsonl", "a") as file:
        file.write(line.replace(str(10**25), "1" * 5000) + "\n")
    with pytest.raises(HarnessError, match=r"corpus\.jsonl is damaged at line 2"):
        beir.read_folder("x", folder, "test", None)


@pytest.mark.parametrize("line", ["[" * 200_000, '{"_id": "b", "text": ' + "[" * 200_000, "NaN", "1e999", "[]", '"x"'])
def test_a_line_that_is_no_document_is_refused(line, tmp_path):
    folder = write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    with open(folder / "corpus.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(HarnessError, match=r"corpus\.jsonl is damaged at line 2"):
        beir.read_folder("x", folder, "test", None)


@pytest.mark.parametrize("score", ["1" * 30, "1" * 5000, "nan", "1e9", "0x10"])
def test_a_score_beyond_reason_is_refused(score, tmp_path):
    folder = write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq\ta\t{score}\n")
    with pytest.raises(HarnessError, match=r"test\.tsv is damaged"):
        beir.read_folder("x", folder, "test", None)


# Records, and everything that was measured

IDS = {"../../evil": "wing flow", "/etc/evil": "heat", "a\"b'c": "shock layer", "<script>alert(1)</script>": "drag"}


@pytest.fixture(scope="module")
def measured(lateon_like, tmp_path_factory):
    """(Folder of cache and results, words that find model and data): one cell, of documents with odd ids."""
    folder = tmp_path_factory.mktemp("measured") / "a" / "b"
    docs = {**IDS, **{f"d{i}": " ".join(WORDS[i : i + 5]) for i in range(15)}}
    queries = {name: text for name, text in list(IDS.items())[:3]} | {"<b>q": "wave nose"}
    data = write_dataset(folder / "data" / "odd", docs, queries, {name: {"d1": 1} for name in queries})
    places = [f"models_dir={lateon_like.parent}", f"data_dir={data.parent}", f"cache_dir={folder / 'cache'}"]
    words = [f"model.path={lateon_like}", f"dataset.path={data}", f"results_dir={folder / 'results'}", *places]
    small = ["depths=[0,5]", "method=smve", "method.width=64", "reference=null", "save_runs=true", "progress=false"]
    assert main(["run", *words, *small]) == 0
    return folder, places


def record_of(folder):
    (path,) = (folder / "results" / "records").rglob("*.json")
    return path


def test_ids_stay_in_their_column_and_name_no_file(measured):
    folder, _ = measured
    assert not [path for path in folder.parent.parent.rglob("*evil*") if path.is_file()]
    runs = sorted((folder / "results" / "runs").rglob("*.gz"))
    assert len(runs) == 2
    for path in runs:
        with gzip.open(path, "rt") as file:
            lines = [line.rstrip("\n").split(" ") for line in file]
        assert {len(line) for line in lines} == {6} and {line[1] for line in lines} == {"Q0"}
        assert {line[2] for line in lines} & IDS.keys()


def test_a_finished_cells_arrays_are_not_believed_as_pickles(measured, tmp_path, marker, capsys):
    """Every array file that a run left, replaced; then the same run once more, without its record."""
    folder = shutil.copytree(measured[0], tmp_path / "copy")
    path = record_of(folder)
    words = [f"dataset.path={folder / 'data' / 'odd'}", f"cache_dir={folder / 'cache'}", measured[1][0]]
    words += [f"results_dir={folder / 'results'}", f"model.path={measured[1][0].split('=')[1]}/lateon-like"]
    path.unlink()
    arrays = list((folder / "cache").rglob("*.npz"))
    assert len(arrays) == 2
    for array in arrays:
        plant(array, in_a_zip(marker))
    capsys.readouterr()
    small = ["depths=[0,5]", "method=smve", "method.width=64", "reference=null", "progress=false"]
    assert main(["run", *words, *small]) == 1
    assert "is damaged" in capsys.readouterr().err and not path.exists()


@pytest.fixture
def tampered(measured, tmp_path):
    """A copy of the record after some change of its content."""

    def make(place, value):
        path = tmp_path / "strange" / "records" / "odd" / "lateon-like" / "corpus" / "smve+width=64.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.loads(record_of(measured[0]).read_text())
        del content["crc32"]  # as a stranger can write it
        *parts, last = place.split(".")
        inner = content
        for part in parts:
            inner = inner[part]
        inner[last] = value
        path.write_text(json.dumps(content))
        return path

    return make


LOOKED_UP = ["${oc.env:HARNESS_TEST_SECRET}", "a-${oc.env:HOME}", "${oc.decode:x}", "${data_dir}", "${now:%Y}", "???"]


@pytest.mark.parametrize("value", LOOKED_UP)
def test_a_record_makes_nothing_be_looked_up(value, measured, tampered, monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_TEST_SECRET", SECRET)
    for place in ("model.name", "model.title", "model.path", "dataset.name", "dataset.split", "method.seed", "device"):
        said = refused(["reproduce", tampered(f"config.{place}", value), *measured[1]], capsys)
        assert f"the record's config.{place} is" in said and SECRET not in said and str(Path.home()) + "/" not in said


def test_what_is_nested_in_a_record_is_not_looked_up_either(measured, tampered, capsys):
    for value in ([{"sha256": "a", "note": LOOKED_UP[0]}], {LOOKED_UP[0]: [[LOOKED_UP[0]]]}):
        said = refused(["reproduce", tampered("config.model.known_weights", value), *measured[1]], capsys)
        assert "expected a plain value, nothing to be looked up" in said


STRANGE = [
    ("model.name", "../../x", "the model name '../../x' cannot be a file name"),
    ("dataset.name", "/etc", "the dataset name '/etc' cannot be a file name"),
    ("method.name", "smve,plaid", "unknown method 'local'"),
    ("center.name", ["none"], "the center name"),
    ("model.path", "../../etc", "the record's model.path is '../../etc': expected the name of a folder alone."),
    ("model.path", "/etc", "expected the name of a folder alone"),
    ("model.path", "..", "expected the name of a folder alone"),
    ("model.path", "*", "which is not in models_dir"),
    ("model.path", "a\0b", "expected the name of a folder alone"),
    ("dataset.path", "..\\x", "expected the name of a folder alone"),
    ("dataset.path", ["odd"], "expected the name of a folder alone"),
    ("model.head", "/etc/passwd", "has the head '/etc/passwd', which is not shipped: set model.head=FILE."),
    ("model.head", "head.safetensors", "which is not shipped"),
    ("model.hub", "../../x", "model.hub=../../x: expected a hub id"),
    ("model.revision", "../../x", "model.revision=../../x: expected a branch, tag or commit"),
    ("model.attention", "someone/kernels", "model.attention=someone/kernels: expected one of"),
    ("method._target_", "os.mkdir", "has the option _target_, which this version does not know"),
    ("method.seed", "42", "method.seed=42: expected a whole number"),
    ("threads", {"_target_": "os.mkdir"}, "threads="),
    ("model", None, "has no usable config"),
    ("dataset", "odd", "has no usable config"),
]


@pytest.mark.parametrize(("place", "value", "message"), STRANGE)
def test_a_record_names_no_code_and_no_file_but_model_and_data(place, value, message, measured, tampered, capsys):
    said = refused(["reproduce", tampered(f"config.{place}", value), *measured[1]], capsys)
    assert message in said


def test_a_split_of_a_record_is_a_name(measured, tampered, tmp_path, capsys):
    (tmp_path / "secret.tsv").write_text("query-id\tcorpus-id\tscore\n")
    path = tampered("config.dataset.split", f"../../../../../../..{tmp_path}/secret")
    assert "dataset.split='../../" in refused(["reproduce", path, *measured[1]], capsys)


def test_options_of_this_machine_are_not_a_records(measured, tampered, evil):
    """Neither packages, which finding would import in part, nor files to hash, nor unknown options."""
    changes = {
        "config.model.package": "evil.part",
        "config.model.files": {"../../../etc/passwd": "0"},
        "config.model._target_": "os.mkdir",
        "config.dataset.builder": "docstrings",
        "config.dataset.packages": ["evil.part"],
        "config.results_dir": "/etc",
        "config.hydra": {"launcher": {"_target_": "os.mkdir"}},
    }
    for place, value in changes.items():
        found = rerun.configuration(records.read(tampered(place, value)), measured[1])
        assert not {"_target_", "evil", "passwd"} & set(OmegaConf.to_yaml(found).replace(":", " ").split())
        assert found.results_dir != "/etc" and found.model.package is None and "builder" not in found.dataset


DAMAGED = [
    ("dataset", "../../x", "dataset is '../../x', which is no file name"),
    ("model", "/etc/x", "model is '/etc/x', which is no file name"),
    ("model", "<script>alert(1)</script>", "which is no file name"),
    ("center", "a | b", "which is no file name"),
    ("method", "smve\n| x | y |", "which is no file name"),
    ("method", "", "which is no file name"),
    ("model", 5, "model is not a str"),
    ("notes", ["a\n| forged | line |"], "a note is not a line of text"),
    ("notes", "text", "notes is not a list"),
    ("ndcg10", {"0": float("nan")}, "the number NaN"),
    ("ndcg10", {"0": float("-inf")}, "the number -Infinity"),
    ("ndcg10", {"0": 3.0}, "not a number for each depth, from 0 to 1"),
    ("ndcg10", [0.5], "ndcg10 is not a dict"),
    ("bytes", {"index": 10**30}, "a number of 31 digits"),
    ("config", "text", "config is not a dict"),
]


@pytest.mark.parametrize(("place", "value", "message"), DAMAGED)
def test_a_record_with_what_run_never_writes_is_not_read(place, value, message, measured, tampered, capsys):
    path = tampered(place, value)
    with pytest.raises(HarnessError, match=r"the record .* is damaged .*delete it and run the cell again") as error:
        records.read(path)
    assert message in str(error.value)
    results = path.parents[4]
    for command in ("table", "report"):
        words = [f"dataset.path={measured[0] / 'data' / 'odd'}", f"results_dir={results}"]
        assert "is damaged" in refused([command, *words], capsys)
    assert not (results / "report.html").exists()


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"format": ' + "[" * 200_000, '{"format": 1e999}', '{"format": NaN}', "5"]
)
def test_a_text_that_is_no_record_is_a_sentence(text, tmp_path):
    (tmp_path / "x.json").write_text(text)
    for read in (records.read, file.read):
        with pytest.raises(HarnessError, match=r"x\.json (is damaged|has format)"):
            read(tmp_path / "x.json")


def test_depths_beyond_reason_are_refused(measured, tampered, capsys):
    scores = record_of(measured[0])
    content = json.loads(scores.read_text())
    for depth in ("x", str(10**25), "-1"):
        path = tampered("ndcg10", {depth: 0.5})
        changed = json.loads(path.read_text())
        changed["per_query"][depth] = content["per_query"]["0"]
        path.write_text(json.dumps(changed))
        refused(["reproduce", path, *measured[1]], capsys)


@pytest.mark.parametrize("name", ["../../evil", "<script>", "a|b"])
def test_a_geometry_with_a_name_that_is_no_files_is_not_drawn(name, tmp_path, capsys):
    content = dict.fromkeys(file._KEYS, {}) | {"format": 1, "dataset": "scifact", "model": name}
    path = file.path_of(tmp_path / "a" / "b", "scifact", "lateon")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    words = ["plot", "what=spectrum", "model=lateon", "dataset=scifact", f"results_dir={tmp_path / 'a' / 'b'}"]
    assert "which is no file name" in refused(words, capsys)
    assert not list(tmp_path.rglob("*.svg"))


def test_a_report_shows_no_markup_of_a_data_set(measured, capsys):
    folder, _ = measured
    path = folder / "results" / "report.html"
    words = [f"dataset.path={folder / 'data' / 'odd'}", f"results_dir={folder / 'results'}"]
    assert main(["report", *words]) == 0
    text = path.read_text()
    assert "alert(1)" not in text and "<b>q" not in text and "default-src 'none'" in text


# The source

FORBIDDEN = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "tarfile"}
LOADS = {"torch.load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "os.system", "os.popen"}
MAKES = {"instantiate", "import_module", "get_class", "get_method", "get_object", "import_from_string"}


def found_in(source):
    """What of a Python source could run code from data: calls and imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            imported = {alias.name for alias in node.names} & MAKES if isinstance(node, ast.ImportFrom) else set()
            found |= {f"import {name}" for name in {n.split(".")[0] for n in names} & MODULES | imported}
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in FORBIDDEN | LOADS or name.split(".")[-1] in MAKES:
            found.add(name)
        if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            found.add("np.load without allow_pickle=False")
        if name.endswith("extractall") and "filter" not in given:
            found.add("extractall without filter")
        for keyword, right in (("shell", "False"), ("trust_remote_code", "False"), ("weights_only", "True")):
            if given.get(keyword, right) != right:
                found.add(f"{keyword}={given[keyword]}")
        if "fromfile" not in name and given.get("allow_pickle", "False") != "False":
            found.add("allow_pickle")
        if name.split(".")[-1] == "Environment" and given.get("autoescape") != "True":
            found.add("Environment without autoescape")
    return found


SOURCES = sorted(path for folder in ("harness", "results") for path in (entries.ROOT / folder).rglob("*.py"))


def test_nothing_in_the_source_runs_data():
    found = {str(path.relative_to(entries.ROOT)): found_in(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert len(found) > 80
    assert {name: some for name, some in found.items() if some} == {}


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle",
        "from joblib import load",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run('ls', shell=True)",
        "tar.extractall(folder)",
        "AutoModel.from_pretrained(x, trust_remote_code=options['trust'])",
        "hydra.utils.instantiate(config)",
        "from hydra.utils import get_class",
        "importlib.import_module(name)",
        "Environment(loader=loader)",
        "os.system('ls')",
    ],
)
def test_the_look_at_the_source_finds_what_it_looks_for(source):
    assert found_in(source)


def test_configurations_are_plain_yaml(tmp_path, marker, monkeypatch):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "x.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{marker}']\n")
    monkeypatch.setattr(entries, "CONF_DIR", tmp_path / "conf")
    with pytest.raises(yaml.YAMLError):
        entries.entry("model", "x")
