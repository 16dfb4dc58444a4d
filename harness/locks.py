"""Locks: what a live process is working on. A lock is free as soon as its process has ended, however it ended.

    cache_dir/tokens/NAME.lock, cache_dir/plaid/NAME.lock   a store or an index is being written
    cache_dir/locks/<data set>/<model>/*.lock               cells of a (model, data set) are being measured

The lock files of `tokens` and `plaid` are empty and stay: a process may wait on one that another takes away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from harness.errors import HarnessError

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


@contextmanager
def measuring(cache: Path, dataset: str, model: str) -> Iterator[None]:
    """Say for the time of a block that cells of a (model, data set) are being measured; several processes may."""
    lock = FileLock(cache / FOLDER / dataset / model / f"{uuid4().hex}.lock")
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise HarnessError(
            f"cannot write to {cache} ({error.strerror}): set cache_dir to a folder that can be written."
        ) from error
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def measured_now(cache: Path) -> set[tuple[str, str]]:
    """The (data set, model) whose cells live processes are measuring."""
    return {lock.parts[-3:-1] for lock in (cache / FOLDER).glob("*/*/*.lock") if is_held(lock)}  # type: ignore[misc]
