"""`advise`: the cheapest first stage that loses little enough to PLAID."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from harness.commands import arguments, selection
from harness.commands import run as run_command
from harness.commands.command import Command
from harness.config import compose, recommended, sweeps
from harness.config.entries import entry
from harness.system import streams
from harness.system.errors import HarnessError

if TYPE_CHECKING:
    from harness.advice.advice import Advice


NOT_READ = ("significance", "cost", "per_query", "hydra", "save_runs", "shard", "index", "overwrite", "reference")
"""Options of `run` that have no meaning here."""
DRAWS = 5
"""Draws of each method with random numbers that are offered to be measured."""


def advise(words: Sequence[str]) -> int:
    """Say which configuration to take, by what was measured."""
    overrides = selection.expand(words)
    options = compose.composed(overrides)
    arguments.check_format("advise", options, ("markdown", "json"))
    failures = _measure_what_is_missing(overrides)
    selected = selection.measured(overrides, options)
    if not (advised := _advised(selected, options)):
        raise _nothing(selected)
    if options.format == "json":
        content = {"suite": selected.suite, "datasets": selected.datasets, "advice": [one.as_json() for one in advised]}
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(line for one in advised for line in _lines(one, selected)))
    return int(bool(failures))


def _measure_what_is_missing(overrides: Sequence[str]) -> list[str]:
    """Ask whether to measure the methods that a named model lacks, each with its recommended centering.

    If standard input is not a terminal, the command does not ask, and a line lists what is missing. Returns a sentence
    for each failure.
    """
    named = {override.key_or_group for override in compose.parse(overrides)}
    if not named & {"model", "model.path"}:
        return []
    from harness.methods import registry
    from harness.sweep import status

    others = [word for word in overrides if not word.startswith(("method=", "center=", "format="))]
    drawing = [name for name in registry.all_methods() if "seed" in entry("method", name)]
    draws = ", ".join(f"{name}: {DRAWS}" for name in drawing if not registry.end_to_end(name))
    others = [f"method.seeds={{{draws}}}", *others]
    cells = [
        compose.composed([*words, f"method={name}", f"center={recommended.NAME}"])
        for words in sweeps.cells(others, is_sweep=True)
        for name in registry.all_methods()
    ]
    progress = [line for line in status.progress(cells) if line.left]
    if not progress:
        return []
    methods = dict.fromkeys(registry.title(cell.method) for line in progress for cell in line.left)
    count, time = sum(len(line.left) for line in progress), status.time_left(progress)
    lacking = f"{count} cells lack a measurement or some of {DRAWS} draws ({', '.join(methods)})"
    streams.say(f"note: {lacking}. Time to measure them: {time}.\n")
    if not sys.stdin.isatty():
        return []
    streams.say("Measure them now? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        return []
    from harness.run import run

    return run(cells)


def _advised(selected: selection.Measured, options: DictConfig) -> list[Advice]:
    """The advice for each model that has PLAID on every data set."""
    from harness.advice.advice import Limits, for_each_model

    budget = [math.inf if limit is None else float(limit) for limit in (options.bytes, options.ms)]
    limits = Limits(float(options.loss), *budget)
    return for_each_model(selected.records, selected.rows, selected.datasets, list(options.depths), limits)


def _lines(advice: Advice, selected: selection.Measured) -> list[str]:
    """The advice for one model as text."""
    from harness.advice import sentences
    from harness.tables import costs, formats, titles

    shown = sentences.table(advice)
    return [
        f"{titles.title(advice.model)}, {selected.suite} ({len(selected.datasets)} data sets)",
        "",
        *(f"- {sentence}" for sentence in sentences.sentences(advice, selected.datasets)),
        "",
        *([] if shown.empty else [formats.pipes(shown), "", sentences.EXPLAINED, costs.measured_on(advice.hosts), ""]),
    ]


def _nothing(selected: selection.Measured) -> HarnessError:
    """What to say if no model has PLAID, with its costs, on every data set."""
    from harness.tables.rows import PLAID

    found = Counter(record.model for record in selected.records if record.method == PLAID)
    if len(selected.datasets) in found.values():
        return HarnessError(
            f"the records of PLAID in {selected.results} have no bytes or seconds, and advice is about what is "
            "cheaper: measure it again with `run method=plaid overwrite=true`."
        )
    return HarnessError(
        f"no model has PLAID on all of {', '.join(selected.datasets)} in {selected.results}, and advice is about what "
        "is lost to it: measure it with `run -m method=plaid,muvera,smve center=recommended`, or name other data sets."
    )


COMMAND = Command(
    name="advise",
    words="[OPTION=VALUE ...]",
    about="""Say which first stage to take in PLAID's place, by what was measured: the smallest and the fastest that
    lose at most `loss` points of NDCG@10 x 100 with 95 % confidence, and what the best of the cheaper ones
    would lose. If the model that is named lacks methods, it offers to measure them.""",
    reads=("loss", "bytes", "ms", *(name for name in run_command.COMMAND.reads if name not in NOT_READ)),
    examples=("advise suite=beir3", "advise suite=offline8 loss=1 bytes=65536 format=json"),
    run=advise,
    own=run_command.COMMAND.own,
)
