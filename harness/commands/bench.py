"""`run`, `status`, `reproduce` and `bench`: cells measured, looked after, measured again; inner loops timed."""

from __future__ import annotations

from collections.abc import Sequence

from harness.config import compose


def bench(words: Sequence[str]) -> int:
    """Time the inner loops on one data set, by default the demonstration's."""
    from harness import bench as benchmark

    expanded = compose.expand(words)
    if not {word.split("=")[0] for word in expanded} & {"dataset", "suite", "experiment"}:
        expanded.append("suite=demo")  # nobody downloads eight data sets for a benchmark
    return benchmark.run(compose.composed(expanded))
