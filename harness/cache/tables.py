"""The entries of the cache as tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone

import pandas as pd

from harness.cache.inventory import KINDS, CacheEntry
from harness.tables.formats import age, pipes, size


def listing(found: Sequence[CacheEntry]) -> str:
    """One line for each entry, then the totals by kind, in Markdown."""
    now = time.time()
    lines = [
        {
            "Kind": entry.kind,
            "Name": entry.name,
            "Size": size(float(entry.bytes)),
            "Age": age(now - entry.written),
            "Complete": "yes" if entry.complete else "no",
        }
        for entry in found
    ]
    return pipes(pd.DataFrame(lines)) + "\n\n" + totals(found) if lines else "The cache is empty."


def totals(found: Sequence[CacheEntry]) -> str:
    """The number of entries of each kind, how many of them are incomplete, and their size, in Markdown."""
    groups = {kind: [entry for entry in found if entry.kind == kind] for kind in KINDS}
    groups["all"] = list(found)
    lines = [
        {
            "Kind": kind,
            "Number": str(len(group)),
            "Incomplete": str(sum(not entry.complete for entry in group)),
            "Size": size(float(total(group))),
        }
        for kind, group in groups.items()
        if group
    ]
    return pipes(pd.DataFrame(lines))


def csv(found: Sequence[CacheEntry]) -> str:
    """One line for each entry; its kind is in the column ``stage``."""
    columns = ["stage", "name", "bytes", "written", "complete"]
    lines = [(entry.kind, entry.name, entry.bytes, _utc(entry.written), str(entry.complete).lower()) for entry in found]
    return str(pd.DataFrame(lines, columns=columns).to_csv(index=False))


def total(found: Sequence[CacheEntry]) -> int:
    """The size of entries in bytes."""
    return sum(entry.bytes for entry in found)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
