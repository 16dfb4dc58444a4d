"""A training run is resumed from tensors alone.

Each attack is made for real: its payload would make a file, the marker.
"""

from __future__ import annotations

import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from attacks import Payload, module, pickled_backbone
from safetensors.torch import save_file
from tiny import WORDS, write_dataset

from harness.cli import main
from harness.training.folder import RunFolder


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
    checkpoint_optimizer: "holds something other than tensors",
    checkpoint_scheduler: "holds something other than tensors",
    checkpoint_random_state: "holds something other than tensors",
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
