"""Artifacts: what the steps of a cell found, kept in the cache so that no step is done twice.

    cache_dir/stages/<data set>/<model>/<testbed>/<center>/<method>-<cell>[-shard-i-of-n].candidates.npz
    cache_dir/stages/<data set>/<model>/<testbed>/<center>/<method>-<cell>[-shard-i-of-n].maxsim.npz

<testbed> is a digest of what all cells of a (model, data set) depend on: their inputs, the kind of device, and the code
and packages that compute. <cell> is a digest of the centering, the method and the depths. So an artifact that exists is
the one that was asked for. A file is written completely or not at all; it holds a checksum and its own place, so that a
file that was moved is refused. An artifact of MaxSim also holds a checksum of its candidates.

A shard (`harness.config.shards`) has artifacts of its own. The k best documents of all shards are those of the whole
corpus, in the same order and with the same scores (`harness.measure.results`).
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from harness.config.shards import Shard
from harness.ranking.ranks import Ranking
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.files import digest, read_arrays, write_arrays

log = logging.getLogger(__name__)
FOLDER = "stages"
CANDIDATES, MAXSIM = ".candidates.npz", ".maxsim.npz"


@dataclass(frozen=True)
class Candidates:
    """What a first stage found, without self matches.

    Attributes
    ----------
    ranking : its rows are rows of the whole corpus
    facts : what the record reports about the search: documents, tokens, bytes, seconds, details
    """

    ranking: Ranking
    facts: dict[str, Any]


@dataclass(frozen=True)
class MaxSim:
    """MaxSim of a cell's first candidates.

    Attributes
    ----------
    scores : -inf where there is no candidate
    candidates : CRC-32 of the candidates' rows
    pairs : how many distinct (query, document) pairs the pass that computed the scores was for
    seconds : what computing all these pairs took, in that pass or in earlier ones
    """

    scores: Float[np.ndarray, "queries depth"]
    candidates: int
    pairs: int
    seconds: float

    @classmethod
    def of(
        cls,
        rows: Int[np.ndarray, "queries depth"],
        scores: Float[np.ndarray, "queries depth"],
        pairs: int,
        seconds: float,
    ) -> MaxSim:
        """The scores of some candidates."""
        return cls(scores, _crc(rows), pairs, seconds)

    def fits(self, rows: Int[np.ndarray, "queries k"]) -> bool:
        """Whether these are the scores of the first columns of `rows`."""
        return len(rows) == len(self.scores) and self.candidates == _crc(rows[:, : self.scores.shape[1]])


@dataclass(frozen=True)
class CellFiles:
    """The artifacts of one cell on one shard.

    Attributes
    ----------
    base : the common beginning of their paths
    """

    base: Path

    @property
    def candidates(self) -> Path:
        """The file of `Candidates`."""
        return self.base.with_name(self.base.name + CANDIDATES)

    @property
    def maxsim(self) -> Path:
        """The file of the candidates' MaxSim."""
        return self.base.with_name(self.base.name + MAXSIM)

    def exist(self, end_to_end: bool) -> bool:
        """Whether both files exist; a method that is `end_to_end` has no MaxSim."""
        return self.candidates.exists() and (end_to_end or self.maxsim.exists())


def testbed_folder(cache: Path, dataset: str, model: str, identity: dict[str, Any], device: str) -> Path:
    """The folder of the artifacts of a (model, data set), named by what they depend on."""
    computed_by = [device, provenance.code(), provenance.versions()]
    return cache / FOLDER / dataset / model / digest([identity, *computed_by])[:16]


def files(folder: Path, center: str, method: str, depends_on: list[Any], shard: Shard) -> CellFiles:
    """The artifacts of a cell, named by what it depends on beside its testbed."""
    return CellFiles(folder / center / f"{method}-{digest(depends_on)[:16]}{shard.suffix}")


def of_shards(one: CellFiles, shard: Shard) -> list[CellFiles]:
    """The artifacts of a cell on every shard, given those on one of them."""
    return [CellFiles(one.base.with_name(name)) for name in shard.names(one.base.name)]


def write_candidates(path: Path, found: Candidates) -> None:
    """Write what a first stage found."""
    _write(path, rows=found.ranking.rows, scores=found.ranking.scores, facts=np.array(json.dumps(found.facts)))


def read_candidates(path: Path) -> Candidates:
    """Read what a first stage found.

    Raises
    ------
    HarnessError
        If the file is damaged, or belongs to another place.
    """
    with _arrays(path) as found:
        return Candidates(Ranking(found["rows"], found["scores"]), json.loads(str(found["facts"])))


def write_maxsim(path: Path, found: MaxSim) -> None:
    """Write the MaxSim of a cell's first candidates."""
    facts = {"candidates": found.candidates, "pairs": found.pairs, "seconds": found.seconds}
    _write(path, scores=found.scores, facts=np.array(json.dumps(facts)))


def read_maxsim(path: Path) -> MaxSim:
    """Read the MaxSim of a cell's first candidates.

    Raises
    ------
    HarnessError
        If the file is damaged, or belongs to another place.
    """
    with _arrays(path) as found:
        return MaxSim(found["scores"], **json.loads(str(found["facts"])))


def _crc(rows: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(rows, dtype="<i8").data)


def _place(path: Path) -> str:
    """A file's place below the folder of all artifacts, as the file itself holds it."""
    return "/".join(path.parts[-5:])


def _write(path: Path, **arrays: np.ndarray) -> None:
    try:
        write_arrays(path, place=np.array(_place(path)), **arrays)
    except OSError as error:
        raise HarnessError(
            f"cannot write {path} ({error.strerror}): free some space, or set cache_dir to a folder that can be "
            "written; what is finished is kept."
        ) from error


@contextmanager
def _arrays(path: Path) -> Iterator[dict[str, np.ndarray]]:
    """A file's arrays; an error of the block that reads them becomes the sentence that the file is damaged."""
    found = read_arrays(path)
    try:
        if (place := str(found["place"])) != _place(path):
            raise ValueError(f"it belongs to {place}")
        yield found
    except (KeyError, ValueError, TypeError) as error:
        raise HarnessError(f"{path} is damaged ({type(error).__name__}: {error}): delete it and run again.") from error


def has_maxsim(one: CellFiles, rows: Int[np.ndarray, "queries k"]) -> bool:
    """Whether the MaxSim of these candidates exists; scores of other candidates do not count.

    Raises
    ------
    HarnessError
        If the file is damaged.
    """
    return one.maxsim.exists() and read_maxsim(one.maxsim).fits(rows)


def known(folder: Path, shard: Shard) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """The pairs of a testbed whose MaxSim was kept; a damaged file is reported and left out.

    Yields
    ------
    Rows of the whole corpus and their scores, both [queries, depth], and the seconds that one pair took.
    """
    for path in sorted(folder.glob(f"*/*{shard.suffix}{MAXSIM}")):
        one = CellFiles(path.with_name(path.name.removesuffix(MAXSIM)))
        if ("-shard-" in path.name) == shard.is_full or not one.candidates.exists():
            continue
        try:
            found, rows = read_maxsim(path), read_candidates(one.candidates).ranking.rows
        except HarnessError as error:
            log.warning("not used: %s", error)
            continue
        if found.fits(rows):
            yield rows[:, : found.scores.shape[1]], found.scores, found.seconds / max(1, found.pairs)
