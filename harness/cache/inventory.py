"""What is in cache_dir: its stages, and whether they are whole.

tokens       cache_dir/tokens/NAME                 token vectors (`harness.vectors.store`)
sums         cache_dir/tokens/NAME.sums.npz        of a shard's token vectors
plaid        cache_dir/plaid/NAME                  PLAID's indexes (`harness.methods.plaid`)
candidates   cache_dir/stages/**.candidates.npz    what first stages found (`harness.measure.artifacts`)
maxsim       cache_dir/stages/**.maxsim.npz        the candidates' MaxSim
data         cache_dir/beir/NAME                   downloaded data sets
training     cache_dir/training/NAME               training runs
hydra        cache_dir/hydra/DAY                   Hydra's folders, which nothing reads
other        everything else                       of no stage, and left alone
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.measure.artifacts import CANDIDATES, MAXSIM, read_candidates, read_maxsim
from harness.measure.artifacts import FOLDER as STAGES
from harness.methods import plaid
from harness.system import locks
from harness.system.errors import HarnessError
from harness.system.files import read_arrays
from harness.training.folder import DONE
from harness.vectors import store
from harness.vectors.build import PARTS

KINDS = ("tokens", "sums", "plaid", "candidates", "maxsim", "data", "training", "hydra", "other")
MARKERS = {"tokens": store.META, "plaid": plaid.MARKER, "training": DONE}
READERS: dict[str, Callable[[Path], Any]] = {
    "tokens": store.open_store,
    "plaid": plaid.checked,
    "sums": read_arrays,
    "candidates": read_candidates,
    "maxsim": read_maxsim,
}
"""What reads a stage of a kind that has checksums, and names its damage."""
FOLDERS = {"tokens": "tokens", "plaid": "plaid", "beir": "data", "training": "training", "hydra": "hydra"}


@dataclass(frozen=True)
class CacheEntry:
    """One thing that is kept.

    Attributes
    ----------
    name : its path below cache_dir
    written : when its youngest file was, in seconds since 1970
    """

    kind: str
    path: Path
    name: str
    bytes: int
    written: float
    complete: bool

    @property
    def lock(self) -> Path | None:
        """Held while it is being written; None: nothing locks it."""
        return locks.of(self.path) if self.kind in ("tokens", "plaid") else None

    @property
    def is_being_written(self) -> bool:
        """Whether a live process writes it."""
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
    found = [_stage(cache, kind, path) for kind, path in _places(cache)]
    return sorted(found, key=lambda stage: (KINDS.index(stage.kind), stage.name))


def _places(cache: Path) -> Iterator[tuple[str, Path]]:
    for top in cache.iterdir():
        if top.name == locks.FOLDER:
            continue
        if top.name == STAGES:
            yield from ((_kind(path), path) for path in top.rglob("*") if path.is_file() and path.suffix != ".lock")
        elif top.name in FOLDERS and top.is_dir():
            kind = FOLDERS[top.name]
            for path in top.iterdir():
                if path.suffix != ".lock":
                    yield ("sums" if kind == "tokens" and path.is_file() else kind), path
        else:
            yield "other", top


def _kind(path: Path) -> str:
    """Of a file in the folder of `harness.measure.artifacts`."""
    return next((kind for kind, end in (("candidates", CANDIDATES), ("maxsim", MAXSIM)) if end in path.name), "other")


def _stage(cache: Path, kind: str, path: Path) -> CacheEntry:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    sizes, times = [], [0.0]
    for file in files:
        try:
            found = file.lstat()
        except FileNotFoundError:  # renamed or removed by a process that works on it
            continue
        times.append(found.st_mtime)
        if not file.is_dir():
            sizes.append(found.st_size)
    return CacheEntry(kind, path, str(path.relative_to(cache)), sum(sizes), max(times), is_complete(kind, path))


def is_complete(kind: str, path: Path) -> bool:
    """Whether a stage was finished: it has its marker, or, where there are none, no temporary name."""
    return (path / MARKERS[kind]).exists() if kind in MARKERS else path.suffix not in (".tmp", ".part")


def damage(stage: CacheEntry) -> str | None:
    """What is wrong with a complete stage that has checksums, and what to do; None: nothing."""
    try:
        READERS[stage.kind](stage.path)
    except HarnessError as error:
        return str(error)
    except OSError as error:
        return f"cannot read {error.filename} ({error.strerror}): make it readable, or delete {stage.path}."
    return None


def has_checksums(stage: CacheEntry) -> bool:
    """Whether `damage` can tell."""
    return stage.complete and stage.kind in READERS
