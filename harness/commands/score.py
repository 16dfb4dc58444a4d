"""`score`: the run of another engine, beside what was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from harness.commands import arguments, table
from harness.commands.command import Command, option_of
from harness.config import compose, sweeps
from harness.config.options import RunOptions, results_dir
from harness.system.errors import HarnessError
from harness.system.files import check_writable
from harness.system.paths import user_path


def score(words: Sequence[str]) -> int:
    """Score a run file, rerank it if a model is named, and print the table of its data set."""
    files = [word for word in words if not option_of(word)]
    if len(files) != 1:
        raise HarnessError(f"score needs one run file, such as RUN.trec.gz; found {len(files)}: {' '.join(files)}.")
    names = [word.partition("=")[2] for word in words if option_of(word) == "name"]
    overrides = compose.expand([word for word in words if word not in files and option_of(word) != "name"])
    keys = {option_of(word) for word in overrides}
    if "dataset" not in keys:
        raise HarnessError("score needs the data set of the run: dataset=NAME, or dataset.path=FOLDER.")
    sweeps.cells(overrides, is_sweep=False)  # refuses several values
    config = compose.composed(overrides)
    arguments.check_format("score", config)
    check_writable("results_dir", results_dir(config.results_dir))
    from harness.foreign.score import Run, with_model, without_model

    given: Any = OmegaConf.to_container(config, resolve=True)
    options = RunOptions.of(given, given["dataset"])
    run = Run.of(user_path(files[0]), names[-1] if names else None)
    if "model" not in keys:
        without_model(run, options)
    elif failures := with_model(run, options):
        return arguments.report_failures(failures)
    return table.show(overrides, only_measured=True)


COMMAND = Command(
    name="score",
    words="RUN.trec[.gz]|RUN.json[.gz] dataset=NAME [OPTION=VALUE ...]",
    about="""Score the run of another engine, and print it in the table of its data set. The file has trec_eval's format
    or is ranx's JSON.

    With a model, the run stands beside that model's rows and is reranked by its MaxSim at all depths. Without one it is
    scored as it is (rk=0), and its differences are to PLAID of the model in the table, if it is the only one there.""",
    reads=(
        *("name", "dataset", "model", "depths", "metrics", "agreement", "overwrite"),
        *("device", "threads", "batch_tokens", "memory_mb", "progress"),
        *("data_dir", "models_dir", "cache_dir", "results_dir"),
        *("format", "significance", "cost", "per_query"),
    ),
    examples=(
        "score bm25.trec.gz dataset=scifact name=anserini",
        "score bm25.trec.gz dataset=scifact name=anserini model=lateon_reg significance=true",
    ),
    run=score,
    own={"name": "what the run is called in tables, with foreign- before it; without it, the file's name"},
    kept="finished steps are kept in cache_dir: the same command goes on from there.",
)
