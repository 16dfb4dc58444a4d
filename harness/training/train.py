"""`python -m harness train`: a head, or all of a model, trained with one objective.

The sentence-transformers trainer does the work (batches of one source each, AdamW, resume); what is ours is the data
(`pairs`), the loss (`loss`), the validation (`validate`) and the run's folder (`folder`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.models import heads
from harness.models.checkpoint import Checkpoint, locate
from harness.ranking.resources import Resources
from harness.system import provenance
from harness.system.device import device
from harness.system.errors import HarnessError
from harness.system.files import digest, write_text
from harness.system.progress import on_terminal
from harness.training import codes, pairs
from harness.training.cached import CachedCollator
from harness.training.folder import CHECKPOINTS, HEAD, LOG, MODEL, RunFolder
from harness.training.loss import STEContrastive, TokenMeans
from harness.training.pairs import TrainingData
from harness.training.validate import Stores, Validation
from harness.vectors.encode import Encoder, Texts
from harness.vectors.forward import vectors
from harness.vectors.store import StoreInMemory

log = logging.getLogger(__name__)
Options = dict[str, Any]
Encoded = Callable[[Any, list[str], bool], list[np.ndarray]]
"""(model, texts, is_query) -> unit token vectors of each text."""
_MEAN_QUERIES = 500  # training queries whose mean is mu_Q in the validation


def train(config: Options) -> Path:
    """Train what the configuration says, or go on with it; returns the run's folder.

    Raises
    ------
    HarnessError
        If the folder holds another run, or the data is not at hand.
    """
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    cache = Path(config["cache_dir"]).expanduser()
    checkpoint = locate(config["model"], config["models_dir"])
    data = pairs.load(config["train_data"], config["data_dir"], cache)
    identity = _identity(config, checkpoint, data)
    folder = _folder(config, cache, identity)
    if folder.finished:
        log.info("%s: finished before", folder.path)
        return folder.path
    for source, removed in data.removed.items():
        if any(removed.values()):
            log.info("kept out of training, from %s: %s", source, removed)
    log.info("%d training pairs of %d sources; validation: %s", data.count, len(data.triples), _sizes(data))
    resources = Resources(device(config["device"]), config["memory_mb"] << 20, cache, config["progress"])
    encoder = Encoder(config["model"], checkpoint, cache, resources.device, config["batch_tokens"], config["progress"])
    began = time.perf_counter()
    run = _Run(config, encoder, data, resources, folder)
    folder.begin()
    before = run.validation.measure(run.model)
    log.info("before: %s", _scores(before))
    run.fit(before)
    after = run.validation.measure(run.model)
    log.info("after: %s", _scores(after))
    if config["train"]["trainable"] == "head":
        heads.write(run.model, folder.path / HEAD)
    if config["train"]["save_model"]:
        run.model.save(str(folder.path / MODEL), create_model_card=False)
    facts = {
        "pairs": {source: len(triples) for source, triples in run.trained_on.items()},
        "removed": data.removed,
        "checked": data.checked,
        "validation": {"queries": len(data.validation.queries), "documents": len(data.validation.docs)},
        "before": before,
        "after": after,
        "steps": run.trainer.state.global_step,
        "seconds": time.perf_counter() - began,
        "versions": provenance.versions(),
        "host": provenance.host(resources.device),
        "commit": provenance.commit(),
    }
    folder.finish(facts)
    return folder.path


class _Run:
    """A model, its trainer and its validation."""

    def __init__(
        self, config: Options, encoder: Encoder, data: TrainingData, resources: Resources, folder: RunFolder
    ) -> None:
        self.options, self.objective, self.folder = config["train"], config["objective"], folder
        self.query_length = config["model"]["query_length"]
        self.encoder, self.data = encoder, data
        self.model = encoder.pylate(self.query_length)
        frozen = self.options["trainable"] == "head"
        for parameter in self.model[0].parameters():
            parameter.requires_grad_(not frozen)
        dim = self.model[-1].out_features
        self.means = TokenMeans(dim, self.objective["center"], self.objective["momentum"])
        self.loss = STEContrastive(
            self.model,
            codes.make(self.objective, dim),
            self.means,
            _alpha(config),
            self.options["temperature"],
            self.objective["temperature"],
        )
        self.mean_queries = mean_queries(data)
        self.collator, self.encoded = self._frozen() if frozen else self._live()
        self.validation = Validation(data.validation, self._validation_stores, resources)
        self.trained_on = _of_a_batch(data, self.options["batch_size"])
        self.bf16 = config["model"]["dtype"] == "bfloat16" and not frozen
        self.show = config["progress"]

    def fit(self, before: dict[str, float]) -> None:
        """Train, from the last checkpoint where there is one."""
        from datasets import Dataset
        from sentence_transformers import SentenceTransformerTrainer
        from transformers.trainer_callback import PrinterCallback

        sets = {}
        for source, triples in self.trained_on.items():
            # The trainer draws the batches of a source with a seed of its own, always the same.
            order = np.random.default_rng(self.options["seed"]).permutation(len(triples))
            columns = zip(*(triples[i] for i in order), strict=True)
            names = ("query", "positive", "negative")
            sets[source] = Dataset.from_dict(dict(zip(names, map(list, columns), strict=True)))
        self.trainer = trainer = SentenceTransformerTrainer(
            self.model,
            self._arguments(),
            train_dataset=sets,
            loss=self.loss,
            data_collator=self.collator,
            evaluator=_evaluator(self.validation),
            callbacks=[_callback(self, before)],
        )
        trainer.remove_callback(PrinterCallback)  # which prints to stdout; the log is ours
        last = self.folder.checkpoint()
        if last:
            log.info("resumed from %s", last[0])
            self.means.load_state_dict(last[1])
        try:
            trainer.train(resume_from_checkpoint=str(last[0]) if last else None)
        except Exception as error:
            if type(error).__name__ != "UnpicklingError":  # of the optimizer's state, which torch reads as data alone
                raise
            raise HarnessError(
                f"the checkpoint {last and last[0]} holds something else than tensors ({str(error).splitlines()[0]}): "
                "delete it to resume from the one before it."
            ) from error

    def _arguments(self) -> Any:
        from sentence_transformers.training_args import BatchSamplers, SentenceTransformerTrainingArguments

        options = self.options
        return SentenceTransformerTrainingArguments(
            output_dir=str(self.folder.path / CHECKPOINTS),
            num_train_epochs=options["epochs"],
            max_steps=options["max_steps"] or -1,
            per_device_train_batch_size=options["batch_size"],
            learning_rate=options["learning_rate"],
            warmup_steps=options["warmup"],
            weight_decay=0.0,
            seed=options["seed"],
            bf16=self.bf16,
            use_cpu=self.model.device.type == "cpu",
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            dataloader_drop_last=True,
            eval_strategy="steps",
            eval_steps=options["validate_every"],
            logging_steps=options["log_every"],
            save_steps=options["save_every"],
            save_total_limit=2,  # one of them is whole at any time
            report_to="none",
            disable_tqdm=not on_terminal(self.show),
        )

    def _frozen(self) -> tuple[Any, Encoded]:
        """Batches and token vectors from the cached vectors of the backbone."""
        stores, rows = {}, {}
        for is_query, texts in ((True, self.data.queries), (False, self.data.documents)):
            stores[is_query] = self.encoder.backbone(Texts(texts, "training", is_query, self.query_length))
            rows[is_query] = {text: i for i, text in enumerate(texts)}

        def encoded(model: Any, texts: list[str], is_query: bool) -> list[np.ndarray]:
            return [heads.project(model, stores[is_query][rows[is_query][text]]) for text in texts]

        return CachedCollator((rows[True], stores[True]), (rows[False], stores[False])), encoded

    def _live(self) -> tuple[Any, Encoded]:
        """Batches tokenized by PyLate, and texts encoded anew each time."""
        from pylate.utils import ColBERTCollator

        def encoded(model: Any, texts: list[str], is_query: bool) -> list[np.ndarray]:
            return vectors(model, texts, is_query, self.encoder.limit, self.encoder.dtype)

        return ColBERTCollator(self.model.tokenize), encoded

    def _validation_stores(self, model: Any) -> Stores:
        """The validation's documents and queries, and the training queries of mu_Q, as the model sees them now."""
        held_out, was_training = self.data.validation, model.training
        model.eval()
        sides = ((held_out.docs.values(), False), (held_out.queries.values(), True), (self.mean_queries, True))
        found = [self.encoded(model, list(texts), is_query) for texts, is_query in sides]
        model.train(was_training)
        documents, queries, others = (
            StoreInMemory(np.concatenate(rows), np.array([len(row) for row in rows])) for rows in found
        )
        return documents, queries, others


def mean_queries(data: TrainingData) -> list[str]:
    """The training queries whose mean is mu_Q in the validation."""
    trained = {query for triples in data.triples.values() for query, _, _ in triples}
    return sorted(trained, key=digest)[:_MEAN_QUERIES]


def _of_a_batch(data: TrainingData, size: int) -> dict[str, list[pairs.Triple]]:
    """The sources that fill a batch, since a batch is of one source."""
    small = [source for source, triples in data.triples.items() if len(triples) < size]
    if small:
        log.info("not trained on, for want of a batch of %d pairs: %s", size, ", ".join(small))
    if len(small) == len(data.triples):
        raise HarnessError(f"no source has {size} training pairs, a batch: set train.batch_size to fewer.")
    return {source: triples for source, triples in data.triples.items() if source not in small}


def _evaluator(validation: Validation) -> Any:
    """The validation as the trainer calls it."""
    from sentence_transformers.evaluation import SentenceEvaluator

    class Evaluator(SentenceEvaluator):  # type: ignore[misc]
        primary_metric = None

        def __call__(
            self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
        ) -> dict[str, float]:
            return {f"validation_{name}": value for name, value in validation.measure(model).items()}

    return Evaluator()


def _callback(run: _Run, before: dict[str, float]) -> Any:
    """Writes the log, and the running means beside each checkpoint."""
    from transformers import TrainerCallback

    first = {"step": 0, **{f"eval_validation_{name}": value for name, value in before.items()}}

    class Callback(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if "loss" in state.log_history[-1]:
                log.info("%s", _progress(state.log_history[-1]))
            lines = [json.dumps(entry) for entry in [first, *state.log_history]]
            write_text(run.folder.path / LOG, "\n".join(lines) + "\n")

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            run.folder.keep_means(state.global_step, run.means.state_dict())

    return Callback()


def _progress(entry: dict[str, float]) -> str:
    """A line of the log for people."""
    terms = [f"{name} {entry[name]:.4f}" for name in ("loss", "maxsim", "codes") if name in entry]
    return f"step {entry['step']}  epoch {entry['epoch']:.2f}  " + "  ".join(terms)


def _alpha(config: Options) -> float:
    """The weight of the codes' term: as asked for, or the objective's own."""
    return float(config["objective"]["alpha"] if config["alpha"] is None else config["alpha"])


def _identity(config: Options, checkpoint: Checkpoint, data: TrainingData) -> Options:
    """What the trained weights depend on."""
    options = ("document_length", "query_length", "query_expansion", "dtype", "attention", "seed")
    model = {name: config["model"].get(name) for name in options}
    not_training = ("output", "save_model", "save_every", "log_every", "validate_every")
    return {
        "weights": checkpoint.sha256,
        "model": {"name": config["model"]["name"], **model},
        "data": digest([data.triples, data.validation.sha256]),
        "train_data": config["train_data"]["name"],
        "objective": config["objective"],
        "alpha": _alpha(config),
        "train": {name: value for name, value in config["train"].items() if name not in not_training},
    }


def _folder(config: Options, cache: Path, identity: Options) -> RunFolder:
    """Where the run goes: `train.output`, or a folder of the cache that is named by what the result depends on."""
    default = f"{config['model']['name']}-{config['objective']['name']}-{digest(identity)[:12]}"
    named = config["train"]["output"]
    path = Path(named).expanduser() if named else cache / "training" / default
    inputs = [config["model"].get("head"), config["model"].get("path"), config["train_data"].get("path")]
    return RunFolder.of(path, identity, [name for name in inputs if name], config["overwrite"])


def _sizes(data: TrainingData) -> str:
    return f"{len(data.validation.queries)} queries, {len(data.validation.docs)} documents"


def _scores(measured: dict[str, float]) -> str:
    return "  ".join(f"{name} {value if name == 'cosine' else 100 * value:.2f}" for name, value in measured.items())
