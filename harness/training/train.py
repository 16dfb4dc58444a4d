"""`python -m harness train`: a head, or all of a model, trained with one objective.

The sentence-transformers trainer does the work (batches of one source each, AdamW, resume); what is ours is the data
(`pairs`), the loss (`loss`) and the validation (`validate`). The folder of a run:

    head.safetensors    the trained projection, for model.head= (`harness.heads`)
    model/              the whole model as PyLate saves it, for model.path= (train.save_model=false: not)
    log.jsonl           loss, both terms, learning rate; validation (NDCG@10 of exact and rk=0, mean pairwise cosine)
    training.json       options, data, validation before and after, versions, host; written last
    checkpoints/        the last one, to resume from; gone when the run is finished
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import heads, models, provenance
from harness.candidates import Resources
from harness.encode import Encoder, Texts, vectors
from harness.errors import HarnessError
from harness.files import digest, write_json, write_text
from harness.progress import on_terminal
from harness.store import StoreInMemory, TokenStore
from harness.subject import device
from harness.training import codes, pairs
from harness.training.cached import CachedCollator
from harness.training.loss import STEContrastive, TokenMeans
from harness.training.pairs import TrainingData
from harness.training.validate import Stores, Validation

log = logging.getLogger(__name__)
Options = dict[str, Any]
DONE, HEAD, LOG = "training.json", "head.safetensors", "log.jsonl"
_MEAN_QUERIES = 500  # training queries whose mean is mu_Q in the validation
_MEANS = "means.pt"


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
    checkpoint = models.locate(config["model"], config["models_dir"])
    data = pairs.load(config["train_data"], config["data_dir"], cache)
    identity = _identity(config, checkpoint, data)
    output = _output(config, cache, identity)
    if (output / DONE).exists():
        log.info("%s: finished before", output)
        return output
    for source, removed in data.removed.items():
        if any(removed.values()):
            log.info("kept out of training, from %s: %s", source, removed)
    log.info("%d training pairs of %d sources; validation: %s", data.count, len(data.triples), _sizes(data))
    resources = Resources(device(config["device"]), config["memory_mb"] << 20, cache, config["progress"])
    encoder = Encoder(config["model"], checkpoint, cache, resources.device, config["batch_tokens"], config["progress"])
    began = time.perf_counter()
    run = _Run(config, encoder, data, resources, output)
    before = run.validation.measure(run.model)
    log.info("before: %s", _scores(before))
    run.fit(before)
    after = run.validation.measure(run.model)
    log.info("after: %s", _scores(after))
    heads.write(run.model, output / HEAD)
    if config["train"]["save_model"]:
        run.model.save(str(output / "model"), create_model_card=False)
    facts = {
        "identity": identity,
        "pairs": {source: len(triples) for source, triples in data.triples.items()},
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
    write_json(output / DONE, facts)
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    return output


class _Run:
    """A model, its trainer and its validation."""

    def __init__(
        self, config: Options, encoder: Encoder, data: TrainingData, resources: Resources, output: Path
    ) -> None:
        self.options, self.objective, self.output = config["train"], config["objective"], output
        self.query_length = config["model"]["query_length"]
        self.encoder, self.data = encoder, data
        self.model = encoder.pylate(self.query_length)
        frozen = self.options["trainable"] == "head"
        for parameter in self.model[0].parameters():
            parameter.requires_grad_(not frozen)
        dim = self.model[-1].out_features
        self.means = TokenMeans(dim, self.objective["center"], self.objective["momentum"])
        alpha = self.objective["alpha"] if config["alpha"] is None else config["alpha"]
        self.loss = STEContrastive(
            self.model,
            codes.make(self.objective, dim),
            self.means,
            alpha,
            self.options["temperature"],
            self.objective["temperature"],
        )
        self.collator, stores = self._frozen() if frozen else self._live()
        self.validation = Validation(data.validation, stores, resources)
        self.bf16 = config["model"]["dtype"] == "bfloat16" and not frozen
        self.show = config["progress"]

    def fit(self, before: dict[str, float]) -> None:
        """Train, from the last checkpoint where there is one."""
        from datasets import Dataset
        from sentence_transformers import SentenceTransformerTrainer
        from transformers.trainer_callback import PrinterCallback

        size, seed, sets = self.options["batch_size"], self.options["seed"], {}
        for source, triples in self.data.triples.items():
            if len(triples) >= size:
                # The trainer draws the batches of a source with a seed of its own, always the same.
                order = np.random.default_rng(seed).permutation(len(triples))
                columns = zip(*(triples[i] for i in order), strict=True)
                names = ("query", "positive", "negative")
                sets[source] = Dataset.from_dict(dict(zip(names, map(list, columns), strict=True)))
        if not sets:
            raise HarnessError(f"no source has {size} training pairs, a batch: set train.batch_size to fewer.")
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
        kept = sorted((self.output / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        whole = [path for path in kept if (path / _MEANS).exists()]
        if whole:
            log.info("resumed from %s", whole[-1])
            self.means.load_state_dict(torch.load(whole[-1] / _MEANS, weights_only=True))
        self.trainer.train(resume_from_checkpoint=str(whole[-1]) if whole else None)

    def _arguments(self) -> Any:
        from sentence_transformers.training_args import BatchSamplers, SentenceTransformerTrainingArguments

        options = self.options
        return SentenceTransformerTrainingArguments(
            output_dir=str(self.output / "checkpoints"),
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
            save_total_limit=1,
            report_to="none",
            disable_tqdm=not on_terminal(self.show),
        )

    def _frozen(self) -> tuple[Any, Callable[[Any], Stores]]:
        """Batches and validation from the cached vectors of the backbone."""
        stores, rows = {}, {}
        for side, texts in (("query", self.data.queries), ("document", self.data.documents)):
            source = Texts(texts, "training", side == "query", self.query_length)
            stores[side], rows[side] = self.encoder.backbone(source), {text: i for i, text in enumerate(texts)}

        def projected(texts: list[str], side: str, model: Any) -> TokenStore:
            found = [stores[side][rows[side][text]] for text in texts]
            tokens = heads.project(model, np.concatenate(found))
            return StoreInMemory(tokens, np.array([len(one) for one in found]))

        def of(model: Any) -> Stores:
            documents, queries, others = self._validation_texts()
            return (
                projected(documents, "document", model),
                projected(queries, "query", model),
                projected(others, "query", model),
            )

        return CachedCollator((rows["query"], stores["query"]), (rows["document"], stores["document"])), of

    def _live(self) -> tuple[Any, Callable[[Any], Stores]]:
        """Batches tokenized by PyLate, validation encoded anew each time."""
        from pylate.utils import ColBERTCollator

        def encoded(texts: list[str], is_query: bool, model: Any) -> TokenStore:
            limit = self.encoder.batch_tokens or (65_536 if model.device.type == "cuda" else 2_048)
            dtype = getattr(torch, self.encoder.model["dtype"])
            found = vectors(model, texts, is_query, limit, dtype)
            return StoreInMemory(np.concatenate(found), np.array([len(one) for one in found]))

        def of(model: Any) -> Stores:
            documents, queries, others = self._validation_texts()
            was_training = model.training
            model.eval()
            found = encoded(documents, False, model), encoded(queries, True, model), encoded(others, True, model)
            model.train(was_training)
            return found

        return ColBERTCollator(self.model.tokenize), of

    def _validation_texts(self) -> tuple[list[str], list[str], list[str]]:
        """Documents and queries of the validation, and the training queries of mu_Q."""
        held_out = self.data.validation
        trained = {query for triples in self.data.triples.values() for query, _, _ in triples}
        others = sorted(trained, key=lambda text: digest(text))[:_MEAN_QUERIES]
        return list(held_out.docs.values()), list(held_out.queries.values()), others


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
            write_text(run.output / LOG, "\n".join(lines) + "\n")

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            torch.save(run.means.state_dict(), Path(args.output_dir) / f"checkpoint-{state.global_step}" / _MEANS)

    return Callback()


def _progress(entry: dict[str, float]) -> str:
    """A line of the log for people."""
    terms = [f"{name} {entry[name]:.4f}" for name in ("loss", "maxsim", "codes") if name in entry]
    return f"step {entry['step']}  epoch {entry['epoch']:.2f}  " + "  ".join(terms)


def _identity(config: Options, checkpoint: models.Checkpoint, data: TrainingData) -> Options:
    """What the trained weights depend on."""
    options = ("document_length", "query_length", "query_expansion", "dtype", "seed")
    model = {name: config["model"].get(name) for name in options}
    not_training = ("output", "save_model", "save_every", "log_every", "validate_every")
    return {
        "weights": checkpoint.sha256,
        "model": {"name": config["model"]["name"], **model},
        "data": digest([data.triples, data.validation.sha256]),
        "train_data": config["train_data"]["name"],
        "objective": config["objective"],
        "alpha": config["objective"]["alpha"] if config["alpha"] is None else config["alpha"],
        "train": {name: value for name, value in config["train"].items() if name not in not_training},
    }


def _output(config: Options, cache: Path, identity: Options) -> Path:
    """The run's folder, which holds nothing of another run."""
    named = config["train"]["output"]
    default = f"{config['model']['name']}-{config['objective']['name']}-{digest(identity)[:12]}"
    output = Path(named).expanduser() if named else cache / "training" / default
    if (output / DONE).exists():
        found = json.loads((output / DONE).read_text())["identity"]
        differs = sorted(name for name in identity if found.get(name) != identity[name])
        if not differs and not config["overwrite"]:
            return output
        if not config["overwrite"]:
            raise HarnessError(
                f"{output} holds a run with another {', '.join(differs)}: set train.output to another folder, or "
                "overwrite=true to replace it."
            )
        shutil.rmtree(output)
    unfinished = output / "started.json"
    if unfinished.exists() and json.loads(unfinished.read_text()) != identity:
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
    try:
        write_json(unfinished, identity)
    except OSError as error:
        raise HarnessError(
            f"cannot write to {output} ({error.strerror}): set train.output to a folder that can be written."
        ) from error
    return output


def _sizes(data: TrainingData) -> str:
    return f"{len(data.validation.queries)} queries, {len(data.validation.docs)} documents"


def _scores(measured: dict[str, float]) -> str:
    return "  ".join(f"{name} {value if name == 'cosine' else 100 * value:.2f}" for name, value in measured.items())
