"""The benchmark: the time of this harness's inner loops, compared with named peers and with the machine's limit.

    python -m harness bench [what=rerank|muvera|smve|search|encode|grid|plaid|scale|gpu] [model=... dataset=...]

Everything is measured in one run on the same inputs, the token vectors of the data set. Our implementation, the peer
and the limit take turns, so that other load on the machine affects all of them; results are medians.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from omegaconf import DictConfig

from harness.system import streams
from harness.system.errors import unknown

WHAT = ("rerank", "muvera", "smve", "search", "encode", "grid", "plaid", "scale", "gpu")
USUAL = WHAT[:-3]


def run(config: DictConfig) -> int:
    """Time the cases of ``what``, print the table, write bench.json and the chart.

    For null these are those of a GPU with ``device=cuda``, else all but plaid, scale and gpu.

    Returns
    -------
    The exit code.

    Raises
    ------
    HarnessError
        If ``what`` is unknown, or the model or data set is not available.
    """
    from harness.bench import report
    from harness.config.options import results_dir
    from harness.measure.grouping import by_model

    if config.what is not None and config.what not in WHAT:
        raise unknown("benchmark", config.what, WHAT)
    if config.threads:
        torch.set_num_threads(config.threads)
    options = by_model([config])[0][0]
    folder, rows = results_dir(config.results_dir) / "bench", []
    for row in _rows(config, options):
        streams.say(f"{row.what}: {row.case}: {row.ours_seconds:.3f} s\n")
        rows.append(row)
        kept = report.keep(folder, [row])  # each at once: a run that is stopped loses one case
    report.chart(folder, kept)
    table = report.gpu_table if rows[0].what == "gpu" else report.table
    sys.stdout.write(f"{table(rows)}\n\nRows: {folder / 'bench.json'}\n")
    return 0


def _rows(config: DictConfig, options: dict) -> Iterator:  # type: ignore[type-arg]
    """The rows of the table, each as soon as it is measured."""
    from harness.bench import gpu_cases, kernel_cases, pipeline_cases, plaid_cases, scale_cases, search_cases
    from harness.bench.timing import timed
    from harness.measure.grouping import selected
    from harness.measure.testbed import testbed_of

    chosen = [config.what] if config.what else ["gpu"] if config.device == "cuda" else list(USUAL)
    if chosen != ["scale"]:
        testbed = testbed_of(options, selected(options)[0])
    for what in chosen:
        if what == "scale":
            yield from scale_cases.scale(config.memory_mb)
        elif what == "gpu":
            yield from gpu_cases.gpu(testbed, testbed.resources.device, config.runs)
        elif what == "grid":
            yield from pipeline_cases.grid(testbed, 4096, 8, config.runs)
        elif what == "plaid":
            yield from plaid_cases.plaid(testbed, config.runs)
        else:
            if what == "encode":
                cases = pipeline_cases.encoding(testbed)
            else:
                module = search_cases if what == "search" else kernel_cases
                cases = getattr(module, what)(testbed.docs, testbed.queries)
            for case in cases:
                yield timed(case, config.runs)
