"""Locks: what a live process is working on. A lock is free as soon as its process has ended, however it ended.

    NAME.lock beside NAME                        NAME is being written: one process does it, the others wait
    cache_dir/tokens/NAME/parts/*.lock           chunks of a store are being encoded
    cache_dir/locks/<data set>/<model>/*.lock    cells of a (model, data set) are being measured
    cache_dir/stages/**/maxsim*.lock             MaxSim of a (model, data set) is being computed
    results_dir/locks/**/<method>.lock           a cell's record is being written

A lock file is empty, and stays where processes wait on it: who waits on one that was taken away waits for nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from harness.system.errors import HarnessError

log = logging.getLogger(__name__)
FOLDER = "locks"


def of(path: Path) -> Path:
    """The lock file of a store or an index."""
    return path.with_name(path.name + ".lock")


def is_held(lock: Path) -> bool:
    """Whether a live process holds a lock."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, blocking=False):
            return False
    except Timeout:
        return True
    except FileNotFoundError:  # it went, with its folder
        return False


@contextmanager
def held(lock: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock for the time of a block, after waiting for whoever holds it; gives whether it was to be had.

    Parameters
    ----------
    wait
        False: do not wait, so that it may not be had.
    """
    mine = FileLock(lock)
    try:
        while not mine.is_locked:
            lock.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the folder went while we waited: whoever took it away was done with it
                try:
                    mine.acquire(blocking=False)
                except Timeout:
                    if not wait:
                        break
                    log.info("waiting for another process, which is at %s", lock.name.removesuffix(".lock"))
                    mine.acquire()
    except OSError as error:
        raise HarnessError(
            f"cannot write to {lock.parent} ({error.strerror}): free some space, or set cache_dir to a folder that can "
            "be written."
        ) from error
    try:
        yield mine.is_locked
    finally:
        mine.release()


@contextmanager
def announced(folder: Path) -> Iterator[None]:
    """Say for the time of a block that this process works in a folder; several may."""
    lock = folder / f"{uuid4().hex}.lock"
    try:
        with held(lock):
            yield
    finally:
        lock.unlink(missing_ok=True)


def is_busy(folder: Path) -> bool:
    """Whether a live process works in a folder."""
    return any(is_held(lock) for lock in folder.glob("*.lock"))


@contextmanager
def measuring(cache: Path, dataset: str, model: str) -> Iterator[None]:
    """Say for the time of a block that cells of a (model, data set) are being measured; several processes may."""
    with announced(cache / FOLDER / dataset / model):
        yield


def measured_now(cache: Path) -> set[tuple[str, str]]:
    """The (data set, model) whose cells live processes are measuring."""
    return {lock.parts[-3:-1] for lock in (cache / FOLDER).glob("*/*/*.lock") if is_held(lock)}  # type: ignore[misc]
