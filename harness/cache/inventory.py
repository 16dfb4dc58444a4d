"""The content of cache_dir: its entries, and whether they are complete and undamaged.

tokens       cache_dir/tokens/NAME                 token vectors (`harness.vectors.store`)
sums         cache_dir/tokens/NAME.sums.npz        sums of a shard's token vectors
plaid        cache_dir/plaid/NAME                  PLAID's indexes (`harness.methods.plaid`)
index        cache_dir/indexes/NAME                indexes of methods' codes (`harness.methods.indexed`)
exact        cache_dir/indexes/NAME.npz            what these methods find without an index
candidates   cache_dir/stages/**.candidates.npz    candidates of first stages (`harness.measure.artifacts`)
maxsim       cache_dir/stages/**.maxsim.npz        MaxSim scores of candidates
data         cache_dir/beir/NAME                   downloaded data sets
training     cache_dir/training/NAME               training runs
hydra        cache_dir/hydra/DAY                   folders of Hydra, which nothing reads
other        everything else                       not made by the harness, and never touched
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.measure.artifacts import CANDIDATES, MAXSIM, read_candidates, read_maxsim
from harness.measure.artifacts import FOLDER as ARTIFACTS
from harness.methods import indexed, plaid
from harness.system import locks
from harness.system.errors import HarnessError
from harness.system.files import read_arrays
from harness.system.folders import MARKER
from harness.training.folder import DONE
from harness.vectors import store
from harness.vectors.build import PARTS

KINDS = ("tokens", "sums", "plaid", "index", "exact", "candidates", "maxsim", "data", "training", "hydra", "other")
MARKERS = {"tokens": store.META, "plaid": MARKER, "index": MARKER, "training": DONE}
"""Kind of entries that are folders -> the file that is written last, so that a folder with it is complete."""
READERS: dict[str, Callable[[Path], Any]] = {
    "tokens": store.open_store,
    "plaid": plaid.checked,
    "index": indexed.checked,
    "sums": read_arrays,
    "exact": read_arrays,
    "candidates": read_candidates,
    "maxsim": read_maxsim,
}
"""Kind with checksums -> the function that reads an entry and raises an error if it is damaged."""
FOLDERS = {
    "tokens": "tokens",
    "plaid": "plaid",
    "indexes": "index",
    "beir": "data",
    "training": "training",
    "hydra": "hydra",
}
"""Folder of cache_dir -> the kind of its entries."""
FILES = {"tokens": "sums", "index": "exact"}
"""Kind of entries that are folders -> the kind of files that lie among them."""


@dataclass(frozen=True)
class CacheEntry:
    """A file or folder that the cache keeps.

    Attributes
    ----------
    kind : one of `KINDS`
    path : the file or folder
    name : its path below cache_dir
    bytes : the size of all its files
    written : when its youngest file was written, in seconds since 1970
    complete : whether it was finished (`is_complete`)
    """

    kind: str
    path: Path
    name: str
    bytes: int
    written: float
    complete: bool

    @property
    def lock(self) -> Path | None:
        """The lock that is held while the entry is being written; None if entries of its kind have no lock."""
        return locks.of(self.path) if self.kind in ("tokens", "plaid", "index", "exact") else None

    @property
    def is_being_written(self) -> bool:
        """Whether a live process is writing it."""
        return bool(self.lock and locks.is_held(self.lock)) or locks.is_busy(self.path / PARTS)


def stages(cache: Path) -> list[CacheEntry]:
    """Everything in the cache, by kind and name.

    Raises
    ------
    HarnessError
        If there is no such folder.
    """
    if not cache.is_dir():
        raise HarnessError(
            f"cache_dir={cache} is not a folder: set cache_dir (or HARNESS_CACHE) to one that `run` used."
        )
    found = [_entry(cache, kind, path) for kind, path in _places(cache)]
    return sorted(found, key=lambda entry: (KINDS.index(entry.kind), entry.name))


def _places(cache: Path) -> Iterator[tuple[str, Path]]:
    """(kind, path) of every entry; locks are not entries."""
    for top in cache.iterdir():
        if top.name == locks.FOLDER:
            continue
        if top.name == ARTIFACTS:
            yield from ((_kind(path), path) for path in top.rglob("*") if path.is_file() and path.suffix != ".lock")
        elif top.name in FOLDERS and top.is_dir():
            kind = FOLDERS[top.name]
            for path in top.iterdir():
                if path.suffix != ".lock":
                    yield (FILES.get(kind, kind) if path.is_file() else kind), path
        else:
            yield "other", top


def _kind(path: Path) -> str:
    """Which kind of artifact a file in the folder of `harness.measure.artifacts` is."""
    return next((kind for kind, end in (("candidates", CANDIDATES), ("maxsim", MAXSIM)) if end in path.name), "other")


def _entry(cache: Path, kind: str, path: Path) -> CacheEntry:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    sizes, times = [], [0.0]
    for file in files:
        try:
            found = file.lstat()
        except FileNotFoundError:  # a process that works on the entry has renamed or removed it
            continue
        times.append(found.st_mtime)
        if not file.is_dir():
            sizes.append(found.st_size)
    return CacheEntry(kind, path, str(path.relative_to(cache)), sum(sizes), max(times), is_complete(kind, path))


def is_complete(kind: str, path: Path) -> bool:
    """Whether an entry was finished: it has its marker or, if its kind has none, no temporary name."""
    return (path / MARKERS[kind]).exists() if kind in MARKERS else path.suffix not in (".tmp", ".part")


def damage(entry: CacheEntry) -> str | None:
    """What is wrong with a complete entry that has checksums, and what to do; None if it is undamaged."""
    try:
        READERS[entry.kind](entry.path)
    except HarnessError as error:
        return str(error)
    except OSError as error:
        return f"cannot read {error.filename} ({error.strerror}): make it readable, or delete {entry.path}."
    return None


def has_checksums(entry: CacheEntry) -> bool:
    """Whether `damage` can check the entry."""
    return entry.complete and entry.kind in READERS
