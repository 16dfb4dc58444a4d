"""The MaxSim pass's artifacts: which cells lack scores, one pass for all of them, and the scores kept for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from harness.measure import artifacts
from harness.measure.artifacts import MaxSim
from harness.measure.cells import Cell
from harness.measure.first_stage import keep as keep_candidates
from harness.measure.testbed import Testbed
from harness.methods.exact import search_and_score
from harness.ranking import maxsim
from harness.ranking.maxsim import Pairs
from harness.system import locks
from harness.system.progress import Stopwatch, bar

Rows = Int[np.ndarray, "queries depth"]


@dataclass
class Scoring:
    """What a MaxSim pass is for.

    Attributes
    ----------
    wanted : cells whose candidates lack scores, with the rows of these candidates (of the whole corpus)
    exhaustive : the cell whose candidates are the best of all documents, if it lacks them
    ready : the cells that have all they need after the pass: all but those whose files are damaged
    """

    wanted: list[tuple[Cell, Rows]] = field(default_factory=list)
    exhaustive: Cell | None = None
    ready: list[Cell] = field(default_factory=list)

    @property
    def is_needed(self) -> bool:
        """Whether a cell lacks anything."""
        return bool(self.wanted) or self.exhaustive is not None

    @property
    def has_pairs(self) -> bool:
        """Whether there is a pair to score: not if nothing is reranked."""
        return self.exhaustive is not None or any(rows.size for _, rows in self.wanted)


@contextmanager
def missing(testbed: Testbed, cells: Sequence[Cell]) -> Iterator[Scoring]:
    """What of the MaxSim of some cells is missing, locked for the time of a block: no other process computes it."""
    if not cells:
        yield Scoring()
        return
    with locks.held(testbed.artifacts / f"maxsim{testbed.shard.suffix}.lock"):
        scoring = Scoring()
        for cell in cells:
            if cell.exhaustive:
                if cell.overwrite or not cell.files.candidates.exists():
                    scoring.exhaustive = cell
                scoring.ready.append(cell)
                continue
            with testbed.collect([cell]):
                rows = artifacts.read_candidates(cell.files.candidates).ranking.rows[:, : cell.depths[-1]]
                if cell.overwrite or not artifacts.has_maxsim(cell.files, rows):
                    scoring.wanted.append((cell, rows))
                scoring.ready.append(cell)
        yield scoring


def compute(testbed: Testbed, scoring: Scoring) -> None:
    """Score the pairs that cells ask for and that were not scored before, in one pass, and keep each cell's scores.

    An exhaustive search is this pass over all pairs; its candidates are kept, too.
    """
    if not scoring.has_pairs:
        for cell, rows in scoring.wanted:
            artifacts.write_maxsim(cell.files.maxsim, MaxSim.of(rows, np.empty(rows.shape, np.float32), 0, 0.0))
        return
    watch, queries, docs, start = Stopwatch(), testbed.queries, testbed.docs, testbed.rows.start
    pairs, spent = Pairs.of([rows - start for _, rows in scoring.wanted], len(queries)), 0.0
    with watch.phase("rerank"):
        if scoring.exhaustive:
            k = scoring.exhaustive.k + 1
            found, scores = search_and_score(docs, queries, k, pairs, testbed.resources)
        else:
            scores, spent = _scores(testbed, pairs, any(cell.overwrite for cell, _ in scoring.wanted))
    if scoring.exhaustive:
        keep_candidates(testbed, scoring.exhaustive, found, found.ranking, {})
    seconds = watch.seconds["rerank"] + spent  # what reranking costs, as if no score had been known
    for cell, rows in scoring.wanted:
        scored = MaxSim.of(rows, pairs.look_up(scores, rows - start), len(pairs), seconds)
        artifacts.write_maxsim(cell.files.maxsim, scored)


def _scores(testbed: Testbed, pairs: Pairs, overwrite: bool) -> tuple[Float[np.ndarray, " pairs"], float]:
    """MaxSim of pairs, and the seconds that the scores which were known had cost."""
    start, resources = testbed.rows.start, testbed.resources
    known = () if overwrite else artifacts.known(testbed.artifacts, testbed.shard)
    scores, unknown, spent = pairs.known((rows - start, values, cost) for rows, values, cost in known)
    if unknown.any():
        with bar("MaxSim", len(testbed.docs), resources.show, device=resources.device) as progress:
            scores[unknown] = maxsim.score(
                testbed.queries,
                testbed.docs,
                pairs.only(unknown),
                resources.block_bytes,
                resources.device,
                tick=progress.update,
            )
    return scores, spent
