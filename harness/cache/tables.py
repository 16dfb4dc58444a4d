"""What is in the cache, as tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone

import pandas as pd

from harness.cache.inventory import KINDS, CacheEntry
from harness.cache.pruning import DAY
from harness.tables import formats
from harness.tables.formats import size


def listing(found: Sequence[CacheEntry]) -> str:
    """One line for each stage, then the totals by kind, in Markdown."""
    now = time.time()
    lines = [
        {
            "CacheEntry": stage.kind,
            "Name": stage.name,
            "Size": size(float(stage.bytes)),
            "Age": age(now - stage.written),
            "Complete": "yes" if stage.complete else "no",
        }
        for stage in found
    ]
    return formats.pipes(pd.DataFrame(lines)) + "\n\n" + totals(found) if lines else "The cache is empty."


def totals(found: Sequence[CacheEntry]) -> str:
    """How many stages of each kind there are, how many of them are incomplete, and their bytes, in Markdown."""
    groups = {kind: [stage for stage in found if stage.kind == kind] for kind in KINDS}
    groups["all"] = list(found)
    lines = [
        {
            "CacheEntry": kind,
            "Number": str(len(group)),
            "Incomplete": str(sum(not stage.complete for stage in group)),
            "Size": size(float(total(group))),
        }
        for kind, group in groups.items()
        if group
    ]
    return formats.pipes(pd.DataFrame(lines))


def csv(found: Sequence[CacheEntry]) -> str:
    """One line for each stage."""
    columns = ["stage", "name", "bytes", "written", "complete"]
    lines = [(stage.kind, stage.name, stage.bytes, _utc(stage.written), str(stage.complete).lower()) for stage in found]
    return str(pd.DataFrame(lines, columns=columns).to_csv(index=False))


def total(found: Sequence[CacheEntry]) -> int:
    """Bytes of some stages."""
    return sum(stage.bytes for stage in found)


def age(seconds: float) -> str:
    """Seconds in the largest unit of which they are two or more."""
    units = {"days": DAY, "hours": 3600, "minutes": 60}
    return next((f"{seconds / unit:.0f} {name}" for name, unit in units.items() if seconds >= 2 * unit), "now")


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
