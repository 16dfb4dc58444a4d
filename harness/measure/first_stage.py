"""The first stage's artifacts: which cells have no candidates yet, and the candidates of a search kept for a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from harness.measure import artifacts, grouping
from harness.measure.artifacts import Candidates
from harness.measure.cells import Cell
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.methods.method import TEXTS, SearchResult
from harness.ranking.ranks import Ranking, drop_self_matches
from harness.system import locks
from harness.system.files import digest
from harness.system.progress import Stopwatch
from harness.vectors.centering import Centering
from harness.vectors.store import TokenVectors, stacked


@contextmanager
def missing(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """The cells that have no candidates yet, locked for the time of a block: no other process searches for them."""
    with ExitStack() as stack:
        # In one order, so that no two processes wait for each other.
        for path in sorted(cell.files.candidates for cell in cells):
            stack.enter_context(locks.held(locks.of(path)))
        yield [cell for cell in cells if cell.overwrite or not cell.files.candidates.exists()]


@dataclass(frozen=True)
class Centered:
    """Cells that can be centered.

    Attributes
    ----------
    shifts : what each subtracts; empty for a method that reads texts
    queries : the queries' token vectors as each cell's search sees them; empty for a method that reads texts
    seconds : phase -> seconds that centering took
    """

    cells: list[Cell]
    shifts: list[Centering]
    queries: list[TokenVectors]
    seconds: dict[str, float]

    def draws(self) -> list[Centered]:
        """The cells of each draw of their method's random numbers."""
        rows: dict[int | None, list[int]] = {}  # cells of one group differ in centering and seed alone
        for row, cell in enumerate(self.cells):
            rows.setdefault(cell.method.given.get("seed"), []).append(row)
        seconds = {phase: spent / len(rows) for phase, spent in self.seconds.items()}

        def draw(some: list[int]) -> Centered:
            shifts, queries = [self.shifts[row] for row in some], [self.queries[row] for row in some]
            return Centered([self.cells[row] for row in some], shifts, queries, seconds)

        return [draw(some) for some in rows.values()]


def center(testbed: Testbed, cells: Sequence[Cell]) -> Centered:
    """The centerings of some cells; a cell that cannot be centered is a failure, and left out."""
    watch, centered = Stopwatch(), Centered([], [], [], {})
    with watch.phase("center"):
        for cell in cells:
            with testbed.collect([cell]):
                if registry.traits(cell.method.name).reads != TEXTS:
                    shift = testbed.centering(cell.center, cell.mean)
                    centered.queries.append(shift.apply_queries(testbed.seen_queries(cell.center)))
                    centered.shifts.append(shift)
                centered.cells.append(cell)
    return replace(centered, seconds=watch.seconds)


def search(testbed: Testbed, centered: Centered) -> Iterator[tuple[Centered, SearchResult]]:
    """One search for cells that share their documents: (the cells of a draw, what it found for their queries)."""
    first = centered.cells[0]
    resources, k = replace(testbed.resources, documents=_documents(testbed, first)), first.k + 1
    method = registry.make(first.method.given)
    if method.reads == TEXTS:  # a single cell: no centering changes texts
        texts = list(islice(testbed.dataset.docs.values(), testbed.rows.start, testbed.rows.stop))
        yield centered, method.search_texts(texts, list(testbed.dataset.queries.values()), k, resources)
        return
    draws = centered.draws()
    methods = [registry.make(draw.cells[0].method.given) for draw in draws]
    documents, teachers = centered.shifts[0].apply_documents(testbed.docs), testbed.teachers(methods[0])
    learned = {}
    if teachers:
        seen = testbed.seen(first.center, testbed.encode_mean(teachers), teachers.texts)
        learning = centered.shifts[0].apply_queries(seen)
        methods, learned = [method.taught(learning) for method in methods], {"learned_from": teachers.source}
    methods[0].warm_up(documents.dim, resources)
    queries = [(method, stacked(draw.queries)) for method, draw in zip(methods, draws, strict=True)]
    for draw, found in zip(draws, methods[0].search_draws(queries, documents, k, resources), strict=True):
        yield draw, replace(found, details={**found.details, **learned})


def _documents(testbed: Testbed, cell: Cell) -> str:
    """The name of a cell's codes of documents: the same for cells that share them."""
    name = f"{testbed.model_name}-{testbed.dataset_name}-{registry.base_name(cell.method.name)}"
    return f"{name}-{digest([testbed.artifacts.name, grouping.documents_of(cell)])[:16]}"


def keep_each(testbed: Testbed, centered: Centered, found: SearchResult) -> None:
    """Write the candidates of each cell of one search, whose queries stood side by side."""
    count = len(centered.cells)
    for cell, ranking, own in zip(centered.cells, found.ranking.split(count), found.parts or [{}] * count, strict=True):
        keep(testbed, cell, replace(found, details={**found.details, **own}), ranking, centered.seconds)


def keep(testbed: Testbed, cell: Cell, found: SearchResult, ranking: Ranking, seconds: dict[str, float]) -> None:
    """Write a cell's candidates, without self matches.

    Parameters
    ----------
    ranking
        The cell's part of what the search found, in rows of the shard; one document more than the cell needs.
    seconds
        Phase -> seconds, of what was done before the search.
    """
    first, dropped = drop_self_matches(ranking, testbed.self_rows_of_shard, cell.k)
    searching = {f"{cell.method.name}_{phase}": spent for phase, spent in found.seconds.items()}
    facts = {
        "documents": len(testbed.rows),
        **(testbed.token_facts if cell.needs_tokens else {}),
        "index_bytes": found.index_bytes,
        "self_matches_removed": dropped,
        "seconds": {**(testbed.encode_seconds if cell.needs_tokens else {}), **seconds, **searching},
        "details": found.details,
    }
    rows = np.where(first.rows < 0, -1, first.rows + testbed.rows.start)
    artifacts.write_candidates(cell.files.candidates, Candidates(Ranking(rows, first.scores), facts))
