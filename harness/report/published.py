"""Published numbers next to measured ones: each file of published values with its verdicts."""

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
from harness.tables.formats import MISSING, signed


@dataclass(frozen=True)
class Published:
    """One file: its source, tolerances and verdicts in words, its lines, and whether any line was measured."""

    source: str
    tolerance: str
    summary: str
    lines: pd.DataFrame
    measured: bool


def compared(folder: Path, records: Sequence[Record]) -> Iterator[Published]:
    """Every file of a folder, compared with the records on all data sets."""
    for path in sorted(folder.glob("*.yaml")):
        if checks := list(expected.check_file(path, records)):
            counts = Counter(check.verdict for check in checks)
            yield Published(
                checks[0].source,
                f"OK: up to {checks[0].ok:g} points from the published number; NEAR: up to {checks[0].near:g}.",
                ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]),
                pd.DataFrame([_line(check) for check in checks]),
                counts["MISSING"] < len(checks),
            )


def _line(check: Check) -> dict[str, str]:
    missing = math.isnan(check.measured)
    return {
        "Data sets": check.dataset,
        "Model": titles.title(check.model),
        "Center": check.center,
        "Method": titles.method_title(check.method),
        "rk": check.depth,
        "Published": f"{check.expected:.2f}",
        "Measured": MISSING if missing else f"{check.measured:.2f}",
        "Difference": MISSING if missing else signed(check.measured - check.expected, 2),
        "Verdict": check.verdict,
    }
