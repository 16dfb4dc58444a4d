"""Pruning: which entries of the cache may be deleted, and their deletion.

An entry may go if its kind has checksums and it is incomplete, or if it was last written more than `older` days ago. It
stays, however old, while a live process writes it or measures cells with it. Finished training runs stay as well, since
they are results. Files that the harness did not create are never touched.
"""

from __future__ import annotations

import shutil
import time
from contextlib import nullcontext
from pathlib import Path

from harness.cache.inventory import MARKERS, READERS, CacheEntry, is_complete
from harness.system import locks
from harness.system.errors import HarnessError
from harness.tables.formats import DAY
from harness.vectors.build import PARTS


def prunable(found: list[CacheEntry], cache: Path, older: float | int | None) -> list[CacheEntry]:
    """The entries that may go by the rule of this module; `older` is in days, None means incomplete entries only."""
    measured = locks.measured_now(cache)
    before = time.time() - (older or 0) * DAY
    return [
        entry
        for entry in found
        if (_is_unfinished(entry) or (older is not None and entry.written < before and not _is_permanent(entry)))
        and not entry.is_being_written
        and not _is_in_use(entry, measured)
    ]


def _is_unfinished(entry: CacheEntry) -> bool:
    return entry.kind in READERS and not entry.complete


def _is_permanent(entry: CacheEntry) -> bool:
    return entry.kind == "other" or (entry.kind == "training" and entry.complete)


def _is_in_use(entry: CacheEntry, measured: set[tuple[str, str]]) -> bool:
    """Whether a process that measures one of these (data set, model) pairs may need an entry."""
    return any(_serves(entry, *testbed) for testbed in measured)


def _serves(entry: CacheEntry, dataset: str, model: str) -> bool:
    """Whether, by its name, an entry may belong to the cells of a (data set, model)."""
    if entry.kind == "data":
        return entry.path.name.split(".")[0] == dataset
    if entry.kind in ("candidates", "maxsim"):
        return entry.path.parts[-5:-3] == (dataset, model)
    name, words = entry.path.name, model.split("+")
    bases = ["+".join(words[: i + 1]) for i in range(len(words))]  # for variants, and for names with a + in them
    return f"-{dataset}-" in name and name.startswith(("backbone-", *(f"{base}-" for base in bases)))


def delete(entry: CacheEntry, cache: Path) -> bool:
    """Delete an entry, its marker first: after an interruption, the rest counts as incomplete.

    Returns
    -------
    Whether it was deleted. It stays if, since it was listed, a process has finished it or has begun to use it.

    Raises
    ------
    HarnessError
        If it cannot be deleted.
    """
    try:
        with locks.held(entry.lock, wait=False) if entry.lock else nullcontext(True) as mine:
            if not mine or is_complete(entry.kind, entry.path) != entry.complete:
                return False
            if locks.is_busy(entry.path / PARTS) or _is_in_use(entry, locks.measured_now(cache)):
                return False
            if entry.path.is_dir():
                if entry.kind in MARKERS:
                    (entry.path / MARKERS[entry.kind]).unlink(missing_ok=True)
                shutil.rmtree(entry.path)
            else:
                entry.path.unlink(missing_ok=True)
            return True
    except OSError as error:
        raise HarnessError(
            f"cannot delete {entry.path} ({error.strerror}): make cache_dir writable, or delete it by hand."
        ) from error
