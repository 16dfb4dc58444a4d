"""The command `train`: trains the head of a model, an adapter, its last layers or all its weights, with one objective.

The data comes from `pairs`, `trainer` runs the training, and `folder` keeps its result.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch

from harness.models import heads, untrained
from harness.models.checkpoint import Checkpoint, locate
from harness.models.inspection import refuse_lengths
from harness.ranking.resources import Resources
from harness.system import provenance
from harness.system.device import device
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.messages import warn_once
from harness.system.paths import user_path
from harness.training import pairs
from harness.training.folder import HEAD, MODEL, RunFolder
from harness.training.pairs import TrainingData
from harness.training.trainer import ALL, Options, TrainingRun, alpha
from harness.vectors.encode import Encoder

log = logging.getLogger(__name__)


def train(config: Options) -> Path:
    """Train as the configuration says, or resume a stopped run.

    Returns
    -------
    The folder of the run.

    Raises
    ------
    HarnessError
        If the folder holds another run, or the data is not available.
    """
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    cache, show = user_path(config["cache_dir"]), config["progress"]
    checkpoint = locate(config["model"], config["models_dir"])
    model = config["model"]
    refuse_lengths(checkpoint.inspection, model["document_length"], model["query_length"])
    for line in untrained.notes(model, checkpoint):
        warn_once(log, "%s: %s", model["name"], line)
    if checkpoint.trained != heads.HEAD:
        raise HarnessError(
            f"model.head={model['head']} holds {checkpoint.trained}, expected a head to train on: set model.path to "
            "the folder model/ of that run instead."
        )
    data = pairs.load(config["train_data"], config["data_dir"], cache, show)
    folder = _folder(config, cache, _identity(config, checkpoint, data))
    if folder.finished:
        if config["train"]["save_model"] and not (folder.path / MODEL).exists():
            raise HarnessError(
                f"{folder.path} was trained with train.save_model=false and has no {MODEL}/: measure its head "
                f"(model.head={folder.path / HEAD}), or train it again with overwrite=true."
            )
        log.info("%s: finished before", folder.path)
        return folder.path
    _log_data(data)
    resources = Resources(device(config["device"]), config["memory_mb"] << 20, cache, show)
    encoder = Encoder(config["model"], checkpoint, cache, resources.device, config["batch_tokens"], show)
    began = time.perf_counter()
    run = TrainingRun(config, encoder, data, resources, folder)
    folder.begin()
    before = run.validation.measure(run.model)
    log.info("before training: %s", _scores(before))
    run.fit(before)
    after = run.validation.measure(run.model)
    log.info("after training: %s", _scores(after))
    if config["train"]["trainable"] != ALL:
        heads.write(run.model, folder.path / HEAD, config["train"]["trainable"])
    if config["train"]["save_model"]:
        run.model.save(str(folder.path / MODEL), create_model_card=False)
    facts = {
        "pairs": {source: len(triples) for source, triples in run.trained_on.items()},
        "removed": data.removed,
        "checked": data.checked,
        "validation": {"queries": len(data.validation.queries), "documents": len(data.validation.docs)},
        "before": before,
        "after": after,
        "steps": run.steps,
        "seconds": time.perf_counter() - began,
        "versions": provenance.versions(),
        "host": provenance.host(resources.device),
        "commit": provenance.commit(),
    }
    folder.finish(facts)
    return folder.path


def _identity(config: Options, checkpoint: Checkpoint, data: TrainingData) -> dict[str, Any]:
    """Everything that the trained weights depend on.

    Options that came after the first runs are part of it only where they are set: those runs stay what they are.
    """
    options = ("document_length", "query_length", "query_expansion", "dtype", "attention", "seed")
    model = {name: config["model"].get(name) for name in options}
    not_training = ("output", "save_model", "save_every", "log_every", "validate_every")
    later = (("query_tokens", "all"), ("dropout", True))
    objective = {name: value for name, value in config["objective"].items() if (name, value) not in later}
    trained = {name: value for name, value in config["train"].items() if (name, value) not in later}
    return {
        "weights": checkpoint.sha256,
        "model": {"name": config["model"]["name"], **model},
        "data": digest([data.triples, data.validation.sha256, *([data.lengths] if data.lengths else [])]),
        "train_data": config["train_data"]["name"],
        "objective": objective,
        "alpha": alpha(config),
        "train": {name: value for name, value in trained.items() if name not in not_training},
    }


def _folder(config: Options, cache: Path, identity: dict[str, Any]) -> RunFolder:
    """The folder of the run: ``train.output``, or one in the cache with the hash of `identity` in its name."""
    default = f"{config['model']['name']}-{config['objective']['name']}-{digest(identity)[:12]}"
    named = config["train"]["output"]
    path = user_path(named) if named else cache / "training" / default
    inputs = [config["model"].get("head"), config["model"].get("path"), config["train_data"].get("path")]
    return RunFolder.of(path, identity, [name for name in inputs if name], config["overwrite"])


def _log_data(data: TrainingData) -> None:
    for source, removed in data.removed.items():
        if any(removed.values()):
            log.info(
                "%s: %d queries and %d documents of test sets are left out",
                source,
                removed["queries"],
                removed["documents"],
            )
    log.info(
        "%d training pairs from %s; validation: %d queries, %d documents",
        data.count,
        ", ".join(data.triples),
        len(data.validation.queries),
        len(data.validation.docs),
    )


def _scores(measured: dict[str, float]) -> str:
    """The validation as text: NDCG@10 x 100, and the mean cosine as it is."""
    return "  ".join(f"{name} {value if name == 'cosine' else 100 * value:.2f}" for name, value in measured.items())
