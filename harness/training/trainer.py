"""One training run: the sentence-transformers trainer with this project's loss, batches, validation and log."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from harness.models import adapter, heads
from harness.models.layers import LastLayers
from harness.ranking.resources import Resources
from harness.system.errors import HarnessError
from harness.system.files import write_text
from harness.system.progress import Progress, bar, on_terminal
from harness.training import codes
from harness.training.datasets import datasets_of, filling_batches
from harness.training.encoding import Encoding, HeadEncoding, LayersEncoding, ModelEncoding, in_memory
from harness.training.folder import CHECKPOINTS, LOG, RunFolder
from harness.training.loss import STEContrastive, TokenMeans
from harness.training.pairs import TrainingData
from harness.training.queries import CodesMask
from harness.training.validate import Stores, Validation, mean_queries
from harness.vectors.encode import Encoder

log = logging.getLogger(__name__)
Options = dict[str, Any]
ALL = "all"
"""What is trained, if not a head (`harness.models.heads`): every weight."""


class TrainingRun:
    """A model, the data it is trained on, and its validation.

    Attributes
    ----------
    model : PyLate's ColBERT, changed by `fit`
    means : the running means of centering
    loss : the loss, which uses them
    encoding : makes batches and token vectors of texts
    validation : measures the model on the held-out split
    trained_on : source -> its (query, positive, negative) texts; only sources that fill a batch
    steps : number of optimizer steps that `fit` has made

    Raises
    ------
    HarnessError
        If the objective's options make no codes, or no source fills a batch.
    """

    def __init__(
        self, config: Options, encoder: Encoder, data: TrainingData, resources: Resources, folder: RunFolder
    ) -> None:
        self.options, self.folder, self.show, self.steps = config["train"], folder, config["progress"], 0
        query_length, trainable = config["model"]["query_length"], self.options["trainable"]
        self.model, last = _trainable(encoder.pylate(query_length), trainable, self.options["seed"])
        if not self.options["dropout"]:
            _turn_off_dropout(self.model)
        elif self.model.device.type == "cpu" and (last or trainable == ALL) and any(_dropouts(self.model)):
            log.warning(
                "this model has dropout, with which a CPU keeps every attention matrix: train.dropout=false takes "
                "about half of the time, and less memory."
            )
        self.means, self.loss = _loss(config, self.model, last)
        self.encoding: Encoding
        if last:
            self.encoding = LayersEncoding(encoder, self.model, data, query_length, heads.layers(trainable))
        elif trainable == ALL:
            self.encoding = ModelEncoding(encoder, self.model, data.query_lengths)
        else:
            self.encoding = HeadEncoding(encoder, data, query_length)
        self._collator: Any = self.encoding.collator
        part = config["objective"]["query_tokens"]
        if part != "all" and self.loss.codes is not None:
            self._collator = CodesMask(self._collator, self.model, part, data.query_lengths)
        self._held_out, self._mean_queries = data.validation, mean_queries(data)
        self.validation = Validation(data.validation, self._validation_stores, resources)
        self.trained_on = filling_batches(data, self.options["batch_size"])
        self._bf16 = config["model"]["dtype"] == "bfloat16" and trainable not in (heads.HEAD, heads.ADAPTER)

    def fit(self, before: dict[str, float]) -> None:
        """Train, from the last checkpoint if there is one.

        Parameters
        ----------
        before
            The validation of the untrained model, for the log.

        Raises
        ------
        HarnessError
            If the checkpoint is damaged, or loading it would run code; if the training diverges.
        """
        from sentence_transformers import SentenceTransformerTrainer
        from transformers.trainer_callback import PrinterCallback

        # On a terminal the trainer has a bar of its own.
        with bar("train", 0, self.show and not on_terminal(self.show), "steps", self.model.device) as progress:
            trainer = SentenceTransformerTrainer(
                self.model,
                self._arguments(),
                train_dataset=datasets_of(self.trained_on, self.options["seed"]),
                loss=self.loss,
                data_collator=self._collator,
                evaluator=_evaluator(self.validation),
                callbacks=[_callback(self, before, progress)],
            )
            trainer.remove_callback(PrinterCallback)  # it prints to stdout; our callback writes the log
            self._resume(trainer)
        self.steps = trainer.state.global_step
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        _refuse_divergence(all(bool(parameter.isfinite().all()) for parameter in trained))

    def _resume(self, trainer: Any) -> None:
        """Run the trainer, from the last checkpoint if there is one."""
        last = self.folder.checkpoint()
        if last:
            log.info("resumed from %s", last[0])
            self.means.load_state_dict(last[1])
        try:
            trainer.train(resume_from_checkpoint=str(last[0]) if last else None)
        except Exception as error:
            if type(error).__name__ != "UnpicklingError":  # torch reads the optimizer's state as tensors only
                raise
            raise HarnessError(
                f"the checkpoint {last and last[0]} holds something other than tensors ({str(error).splitlines()[0]}): "
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
            bf16=self._bf16,
            use_cpu=self.model.device.type == "cpu",
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            dataloader_drop_last=True,
            eval_strategy="steps",
            eval_steps=options["validate_every"],
            logging_steps=options["log_every"],
            save_steps=options["save_every"],
            save_total_limit=2,  # one of two is complete at any time
            logging_nan_inf_filter=False,  # else a loss that is no number is left out of the log
            report_to="none",
            disable_tqdm=not on_terminal(self.show),
        )

    def _validation_stores(self, model: Any) -> Stores:
        """The validation's documents and queries, and the training queries for mu_Q, from the model as it is now."""
        held_out, was_training = self._held_out, model.training
        model.eval()
        sides = ((held_out.docs.values(), False), (held_out.queries.values(), True), (self._mean_queries, True))
        documents, queries, others = (
            in_memory(self.encoding.encode(model, list(texts), is_query)) for texts, is_query in sides
        )
        model.train(was_training)
        return documents, queries, others


def _refuse_divergence(is_finite: bool) -> None:
    """Stop a training whose loss or weights are no numbers any more: nothing that follows would mean anything."""
    if not is_finite:
        raise HarnessError(
            "the training diverged: its loss or its weights are no finite numbers. Set a smaller train.learning_rate, "
            "or model.dtype=float32, and train into another folder (or overwrite=true)."
        )


def alpha(config: Options) -> float:
    """The weight of the codes' term in the loss: the option ``alpha``, or else the objective's."""
    return float(config["objective"]["alpha"] if config["alpha"] is None else config["alpha"])


def _trainable(model: Any, what: str, seed: int) -> tuple[Any, LastLayers | None]:
    """The model, all frozen but what is trained of it; its last layers, if these are trained on frozen ones."""
    if what == ALL:
        return model, None
    if what == heads.ADAPTER:
        adapter.insert(model, seed)
    count = heads.layers(what)
    last = LastLayers(model, count) if count else None
    trained = heads.parameters(model, what)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    return model, last


def _turn_off_dropout(model: nn.Module) -> None:
    """Set all probabilities of dropout to 0: those of modules, and numbers such as ``attention_dropout``."""
    for module, name in [*_dropouts(model)]:
        setattr(module, name, 0.0)


def _dropouts(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Each module that drops something in training, and the name of its probability."""
    for module in model.modules():
        for name, value in vars(module).items():
            named = name.endswith("dropout") or (name == "p" and isinstance(module, nn.Dropout))
            if named and isinstance(value, float) and value > 0:
                yield module, name


def _loss(config: Options, model: Any, last: LastLayers | None) -> tuple[TokenMeans, STEContrastive]:
    """The loss, and the running means that it uses."""
    objective, dim = config["objective"], model[-1].out_features
    means = TokenMeans(dim, objective["center"], objective["momentum"])
    projections = codes.make(objective, dim)
    temperatures = config["train"]["temperature"], objective["temperature"]
    return means, STEContrastive(model, projections, means, alpha(config), *temperatures, last)


def _evaluator(validation: Validation) -> Any:
    """The validation, with the interface that the trainer expects."""
    from sentence_transformers.evaluation import SentenceEvaluator

    class Evaluator(SentenceEvaluator):  # type: ignore[misc]
        primary_metric = None

        def __call__(
            self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
        ) -> dict[str, float]:
            return {f"validation_{name}": value for name, value in validation.measure(model).items()}

    return Evaluator()


def _callback(run: TrainingRun, before: dict[str, float], progress: Progress) -> Any:
    """A callback that writes the log, saves the running means beside each checkpoint, and counts steps."""
    from transformers import TrainerCallback

    first = {"step": 0, **{f"eval_validation_{name}": value for name, value in before.items()}}

    class Callback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            progress.total = state.max_steps
            progress.move_to(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            progress.update()

        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if "loss" in state.log_history[-1]:
                log.info("%s", _log_line(state.log_history[-1]))
                _refuse_divergence(math.isfinite(state.log_history[-1]["loss"]))
            lines = [json.dumps(entry) for entry in [first, *state.log_history]]
            write_text(run.folder.path / LOG, "\n".join(lines) + "\n")

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            run.folder.keep_means(state.global_step, run.means.state_dict())

    return Callback()


def _log_line(entry: dict[str, float]) -> str:
    """An entry of the trainer's log as text."""
    terms = [f"{name} {entry[name]:.4f}" for name in ("loss", "maxsim", "codes") if name in entry]
    return f"step {entry['step']}  epoch {entry['epoch']:.2f}  " + "  ".join(terms)
