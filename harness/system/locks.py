"""Locks: what live processes are working on. A lock is free again when its process ends, even if it is killed.

    NAME.lock beside NAME                        NAME is being written by one process; the others wait
    cache_dir/tokens/NAME/parts/*.lock           chunks of a store are being encoded
    cache_dir/locks/<data set>/<model>/*.lock    cells of a (model, data set) are being measured
    cache_dir/stages/**/maxsim*.lock             MaxSim of a (model, data set) is being computed
    results_dir/locks/**/<method>.lock           a cell's record is being written

Lock files are empty, and files that processes wait for are never deleted: a process waiting on a deleted file would
never be woken.
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
    """The lock file for a store or an index."""
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
    except FileNotFoundError:  # it was deleted, together with its folder
        return False
    except PermissionError:  # it is another user's, who alone can write it
        return _is_locked(lock)


def _is_locked(lock: Path) -> bool:
    """Whether a process holds a lock that can only be read; of a file that cannot even be read this is assumed."""
    import fcntl  # only where users share a cache, which no Windows does

    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


@contextmanager
def held(lock: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock during a block, after waiting for the process that holds it. Gives whether the lock is held.

    Parameters
    ----------
    wait
        False: do not wait; the block then runs without the lock if another process holds it.

    Raises
    ------
    HarnessError
        If the lock file cannot be written.
    """
    mine = FileLock(lock)
    try:
        while not mine.is_locked:
            lock.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another process finished and deleted the folder while we waited
                try:
                    mine.acquire(blocking=False)
                except Timeout:
                    if not wait:
                        break
                    log.info("waiting for another process that is working on %s", lock.name.removesuffix(".lock"))
                    mine.acquire()
    except OSError as error:
        raise HarnessError(
            f"cannot write to {lock.parent} ({error.strerror}): free some space, or set cache_dir and results_dir to "
            "folders that can be written."
        ) from error
    try:
        yield mine.is_locked
    finally:
        mine.release()


@contextmanager
def announced(folder: Path) -> Iterator[None]:
    """Mark a folder as in use during a block; several processes may do so at once."""
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
    """Mark a (model, data set) as being measured during a block; several processes may do so at once."""
    with announced(cache / FOLDER / dataset / model):
        yield


def measured_now(cache: Path) -> set[tuple[str, str]]:
    """The pairs (data set, model) that live processes are measuring."""
    return {lock.parts[-3:-1] for lock in (cache / FOLDER).glob("*/*/*.lock") if is_held(lock)}  # type: ignore[misc]
