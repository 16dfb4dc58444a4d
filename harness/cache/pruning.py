"""Pruning: which stages of the cache may go, and their deletion.

A stage may go if it has checksums and is incomplete, or if it was last written more than `older` days ago. It
stays, whatever its age, while a live process writes it or measures cells with it; so do finished training runs, which
are results, and what is of no stage.
"""

from __future__ import annotations

import shutil
import time
from contextlib import nullcontext
from pathlib import Path

from harness.cache.inventory import MARKERS, READERS, CacheEntry, is_complete
from harness.system import locks
from harness.system.errors import HarnessError
from harness.vectors.build import PARTS

DAY = 86_400
"""Seconds."""


def prunable(found: list[CacheEntry], cache: Path, older: float | int | None) -> list[CacheEntry]:
    """The stages that may go, by the module's rule; `older` in days, None: whatever their age."""
    measured = locks.measured_now(cache)
    before = time.time() - (older or 0) * DAY
    return [
        stage
        for stage in found
        if (_is_left_over(stage) or (older is not None and stage.written < before and not _is_kept(stage)))
        and not stage.is_being_written
        and not _is_in_use(stage, measured)
    ]


def _is_left_over(stage: CacheEntry) -> bool:
    return stage.kind in READERS and not stage.complete


def _is_kept(stage: CacheEntry) -> bool:
    return stage.kind == "other" or (stage.kind == "training" and stage.complete)


def _is_in_use(stage: CacheEntry, measured: set[tuple[str, str]]) -> bool:
    """Whether cells of one of these (data set, model) may be measured with a stage."""
    return any(_serves(stage, *testbed) for testbed in measured)


def _serves(stage: CacheEntry, dataset: str, model: str) -> bool:
    """Whether a stage may be one of those that cells of a (model, data set) are measured with, by its name."""
    if stage.kind == "data":
        return stage.path.name.split(".")[0] == dataset
    if stage.kind in ("candidates", "maxsim"):
        return stage.path.parts[-5:-3] == (dataset, model)
    name, words = stage.path.name, model.split("+")
    bases = ["+".join(words[: i + 1]) for i in range(len(words))]  # of a variant, and of a name that has a + itself
    return f"-{dataset}-" in name and name.startswith(("backbone-", *(f"{base}-" for base in bases)))


def delete(stage: CacheEntry, cache: Path) -> bool:
    """Delete a stage, its marker first, so that what is left of an interrupted deletion is not believed.

    Returns
    -------
    False if since it was listed a process has finished it, or works on it or with it.

    Raises
    ------
    HarnessError
        If the disk refuses.
    """
    try:
        with locks.held(stage.lock, wait=False) if stage.lock else nullcontext(True) as mine:
            if not mine or is_complete(stage.kind, stage.path) != stage.complete:
                return False
            if locks.is_busy(stage.path / PARTS) or _is_in_use(stage, locks.measured_now(cache)):
                return False
            if stage.path.is_dir():
                if stage.kind in MARKERS:
                    (stage.path / MARKERS[stage.kind]).unlink(missing_ok=True)
                shutil.rmtree(stage.path)
            else:
                stage.path.unlink(missing_ok=True)
            return True
    except OSError as error:
        raise HarnessError(
            f"cannot delete {stage.path} ({error.strerror}): make cache_dir writable, or delete it by hand."
        ) from error
