"""Stages: what the steps of a cell found, kept so that no step is done twice, be it after a stop or by two processes.

    cache_dir/stages/<data set>/<model>/<testbed>/<center>/<method>-<cell>[-shard-i-of-n].candidates.npz
    cache_dir/stages/<data set>/<model>/<testbed>/<center>/<method>-<cell>[-shard-i-of-n].maxsim.npz

<testbed> is a digest of what all cells of a (model, data set) depend on: their inputs, the kind of device, and the code
and packages that compute; <cell> is one of the centering, the method and the depths. So a stage that is there is the
one that is asked for. Each file is written whole, with its place and a checksum, and MaxSim with a checksum of the
candidates that it is of: a file in another's place is not believed.

A shard (`harness.config.shards`) has stages of its own. The k best of all shards are those of the whole corpus, in the same
order, with the same scores.
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
    ranking : rows are those of the whole corpus
    facts : documents, tokens, bytes, seconds, details, ...: what the record says of the search
    """

    ranking: Ranking
    facts: dict[str, Any]


@dataclass(frozen=True)
class MaxSim:
    """MaxSim of a cell's first candidates.

    Attributes
    ----------
    scores : -inf where there is no candidate
    candidates : CRC-32 of their rows
    pairs : different (query, document) that the pass which computed them was for
    seconds : that computing all of these took, in that pass or before it
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
        """Whether it is the MaxSim of the first of these candidates."""
        return len(rows) == len(self.scores) and self.candidates == _crc(rows[:, : self.scores.shape[1]])


@dataclass(frozen=True)
class Result:
    """A cell's result on some documents.

    Attributes
    ----------
    maxsim : float32 [queries, depth] of the first candidates; None where nothing is reranked
    """

    ranking: Ranking
    maxsim: Float[np.ndarray, "queries depth"] | None
    facts: dict[str, Any]


@dataclass(frozen=True)
class Files:
    """The stages of one cell on one shard.

    Attributes
    ----------
    base : what the names of its files begin with
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

    def are_there(self, whole: bool) -> bool:
        """Whether both are; a `whole` method has no MaxSim."""
        return self.candidates.exists() and (whole or self.maxsim.exists())


def testbed_folder(cache: Path, dataset: str, model: str, identity: dict[str, Any], device: str) -> Path:
    """Where the stages of a (model, data set) are; parameters are what they depend on."""
    computed_by = [device, provenance.code(), provenance.versions()]
    return cache / FOLDER / dataset / model / digest([identity, *computed_by])[:16]


def files(folder: Path, center: str, method: str, depends_on: list[Any], shard: Shard) -> Files:
    """The stages of a cell, by its names and what it depends on beside its testbed."""
    return Files(folder / center / f"{method}-{digest(depends_on)[:16]}{shard.suffix}")


def of_shards(one: Files, shard: Shard) -> list[Files]:
    """The stages of a cell on every shard, from those on one of them."""
    return [Files(one.base.with_name(name)) for name in shard.names(one.base.name)]


def write_candidates(path: Path, found: Candidates) -> None:
    """Keep what a first stage found."""
    _write(path, rows=found.ranking.rows, scores=found.ranking.scores, facts=np.array(json.dumps(found.facts)))


def read_candidates(path: Path) -> Candidates:
    """What a first stage found.

    Raises
    ------
    HarnessError
        If the file is damaged, or of something else.
    """
    with _arrays(path) as found:
        return Candidates(Ranking(found["rows"], found["scores"]), json.loads(str(found["facts"])))


def write_maxsim(path: Path, found: MaxSim) -> None:
    """Keep the MaxSim of a cell's first candidates."""
    facts = {"candidates": found.candidates, "pairs": found.pairs, "seconds": found.seconds}
    _write(path, scores=found.scores, facts=np.array(json.dumps(facts)))


def read_maxsim(path: Path) -> MaxSim:
    """MaxSim of a cell's first candidates.

    Raises
    ------
    HarnessError
        If the file is damaged, or of something else.
    """
    with _arrays(path) as found:
        return MaxSim(found["scores"], **json.loads(str(found["facts"])))


def _crc(rows: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(rows, dtype="<i8").data)


def _place(path: Path) -> str:
    """Where a file is, as it is written in it: below the folder of all stages."""
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
    """A file's arrays; whoever misses something in them says that the file is damaged."""
    found = read_arrays(path)
    try:
        if (place := str(found["place"])) != _place(path):
            raise ValueError(f"it is {place}")
        yield found
    except (KeyError, ValueError, TypeError) as error:
        raise HarnessError(f"{path} is damaged ({type(error).__name__}: {error}): delete it and run again.") from error


def has_maxsim(one: Files, rows: Int[np.ndarray, "queries k"]) -> bool:
    """Whether the MaxSim of a cell's candidates is there; of other candidates it is nothing.

    Raises
    ------
    HarnessError
        If the file is damaged.
    """
    return one.maxsim.exists() and read_maxsim(one.maxsim).fits(rows)


def known(folder: Path, shard: Shard) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """The pairs of a testbed whose MaxSim is kept; what is damaged is said and left out.

    Yields
    ------
    Rows of the whole corpus and their scores, both [queries, depth], and the seconds that one pair took.
    """
    for path in sorted(folder.glob(f"*/*{shard.suffix}{MAXSIM}")):
        one = Files(path.with_name(path.name.removesuffix(MAXSIM)))
        if ("-shard-" in path.name) == shard.is_whole or not one.candidates.exists():
            continue
        try:
            found, rows = read_maxsim(path), read_candidates(one.candidates).ranking.rows
        except HarnessError as error:
            log.warning("not used: %s", error)
            continue
        if found.fits(rows):
            yield rows[:, : found.scores.shape[1]], found.scores, found.seconds / max(1, found.pairs)


def read(one: Files, whole: bool) -> Result:
    """A cell's result on one shard; of a `whole` method there is no MaxSim.

    Raises
    ------
    HarnessError
        If one of its files is damaged, or its MaxSim is of other candidates.
    """
    found = read_candidates(one.candidates)
    if whole:
        return Result(found.ranking, None, found.facts)
    reranked = read_maxsim(one.maxsim)
    if not reranked.fits(found.ranking.rows):
        raise HarnessError(f"{one.maxsim} is of other candidates than {one.candidates}: delete it and run again.")
    seconds = {**found.facts["seconds"], "rerank": reranked.seconds}
    return Result(found.ranking, reranked.scores, {**found.facts, "seconds": seconds})


def merge(parts: list[Result], k: int) -> Result:
    """The result on all documents: the k best of all parts, score descending, row ascending."""
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([part.ranking.rows for part in parts], axis=1)
    scores = np.concatenate([part.ranking.scores for part in parts], axis=1)
    order = np.lexsort((rows, -scores, rows < 0), axis=1)[:, :k]
    reranked = [part.maxsim for part in parts if part.maxsim is not None]
    maxsim = None
    if len(reranked) == len(parts):
        widths, depth = [part.ranking.rows.shape[1] for part in parts], max(one.shape[1] for one in reranked)
        padded = [np.pad(one, ((0, 0), (0, w - one.shape[1]))) for one, w in zip(reranked, widths, strict=True)]
        maxsim = np.take_along_axis(np.concatenate(padded, axis=1), order, axis=1)[:, :depth]
    ranking = Ranking(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))
    return Result(ranking, maxsim, _together([part.facts for part in parts]))


def _together(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers of all parts: added up; inside ``details`` (rates and sizes of one document), the mean by documents."""
    weights = [one["documents"] for one in facts]
    added: dict[str, Any] = {}
    for key, value in facts[0].items():
        values = [one[key] for one in facts]
        if key == "details":
            added[key] = {
                name: values[0][name]
                if len({json.dumps(one[name]) for one in values}) == 1
                else float(np.average([one[name] for one in values], weights=weights))
                for name in value
            }
        elif key == "seconds":
            added[key] = {name: sum(one[name] for one in values) for name in value}
        else:
            added[key] = sum(values)
    return added
