"""`bench`: the inner loops timed against peers and the limit of the machine."""

from __future__ import annotations

from collections.abc import Sequence

from harness.commands import arguments
from harness.commands.command import Command
from harness.config import compose


def bench(words: Sequence[str]) -> int:
    """Time the inner loops on one data set, by default the demonstration's."""
    from harness import bench as benchmark

    expanded = compose.expand(words)
    if not {word.split("=")[0] for word in expanded} & {"dataset", "suite", "experiment"}:
        expanded.append("suite=demo")  # a benchmark must not download eight data sets
    options = compose.composed(expanded)
    arguments.check_results(options)
    return benchmark.run(options)


COMMAND = Command(
    name="bench",
    words="[OPTION=VALUE ...]",
    about="""Time the inner loops against peers that are installed and against the limit of the machine. Without a
    data set it takes the demonstration's.""",
    reads=(
        *("what", "runs", "model", "suite", "dataset", "experiment", "device", "threads", "batch_tokens", "memory_mb"),
        *("progress", "data_dir", "models_dir", "cache_dir", "results_dir"),
    ),
    examples=("bench", "bench what=grid model=answerai_colbert_small dataset=scifact"),
    run=bench,
    kept="the cases that were finished are in bench.json; the same command times all of them again.",
)
