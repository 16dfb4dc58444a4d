"""Published numbers next to measured ones: the files of expected values, one after the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.records import Record
from harness.tables import expected, titles
from harness.tables.expected import VERDICTS, Check
from harness.tables.titles import MISSING


@dataclass(frozen=True)
class Published:
    """One file: its source, tolerances and verdicts in words, its lines, and whether any of them was measured."""

    source: str
    tolerance: str
    summary: str
    lines: pd.DataFrame
    measured: bool


def compared(folder: Path, records: Sequence[Record]) -> Iterator[Published]:
    """Every file of a folder against the records of all data sets."""
    for path in sorted(folder.glob("*.yaml")):
        if found := list(expected.check_file(path, records)):
            counts = Counter(one.verdict for one in found)
            yield Published(
                found[0].source,
                f"OK: up to {found[0].ok:g} points from the published number; NEAR: up to {found[0].near:g}.",
                ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]),
                pd.DataFrame([_line(one) for one in found]),
                counts["MISSING"] < len(found),
            )


def _line(one: Check) -> dict[str, str]:
    missing = math.isnan(one.measured)
    return {
        "Data sets": one.dataset,
        "Model": titles.title(one.model),
        "Center": one.center,
        "Method": titles.method_title(one.method),
        "rk": one.depth,
        "Published": f"{one.expected:.2f}",
        "Measured": MISSING if missing else f"{one.measured:.2f}",
        "Difference": MISSING if missing else f"{round(one.measured - one.expected, 2) + 0.0:+.2f}",
        "Verdict": one.verdict,
    }
