"""The pipeline, top to bottom, for every cell: a method under a centering, for one model on one data set.

    data set -> token vectors -> centering -> candidates -> self matches out -> MaxSim reranking -> NDCG@10 -> record

A cell may have several draws of its method's random numbers (`method.seeds`). Each draw is a cell of its own up to
NDCG@10; their record is one.

What cells have in common is computed once: the documents' codes for centerings that treat documents alike, and the
MaxSim of a (query, document) pair, whichever methods, centerings and depths ask for it. PLAID, exact search and
reranking see the model's own vectors; centering is for the other first stages. The result of each step is kept
(`harness.measure.artifacts`) and computed under a lock, so that no step is done twice: not by this run, by a later one,
or by another process. A cell that fails is noted and does not stop the others (`harness.measure.failing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from harness.measure import first_stage, grouping, preflight, recording, rerank, scores
from harness.measure.cells import Cell, Request, draws_of
from harness.measure.failing import Failures
from harness.measure.pending import pending
from harness.measure.testbed import Testbed


def run(configs: Sequence[DictConfig]) -> list[str]:
    """Measure each configuration's cell, and its reference, on each data set; returns a sentence for each failure."""
    failures = Failures()
    for options, requests in preflight.usable(grouping.by_testbed(configs), failures):
        with failures.collect_all(options, requests), Testbed.open(options, failures) as testbed:
            measure(testbed, requests)
    return failures.sentences


def measure(testbed: Testbed, requests: Sequence[Request]) -> None:
    """Candidates for each cell that has no record yet, one MaxSim pass for all of them, and a record for each."""
    while requests:  # once more, where another process has made another record meanwhile
        cells = pending(testbed, requests)
        draws = draws_of(cells)
        searched = [draw for draw in draws if draw.exhaustive]  # their search is the MaxSim pass
        done: list[Cell] = []
        for group in grouping.share_documents(draws):
            with testbed.collect(group):
                found = find_candidates(testbed, group)
                done += [draw for draw in found if draw.end_to_end]
                searched += [draw for draw in found if not draw.end_to_end]
        early = [cell for cell in complete(cells, done) if not cell.needs_exact]
        again = write_records(testbed, early)
        with testbed.collect([*searched, *(draw for draw in done if draw.needs_exact)]):
            done += score_candidates(testbed, searched)
            again += write_records(testbed, [cell for cell in complete(cells, done) if cell not in early])
        requests = again


def complete(cells: Sequence[Cell], done: Sequence[Cell]) -> list[Cell]:
    """The cells of which every draw is done."""
    return [cell for cell in cells if all(draw in done for draw in cell.each_draw)]


def find_candidates(testbed: Testbed, group: Sequence[Cell]) -> list[Cell]:
    """First stage: one search for cells that share their documents; returns the cells that have candidates."""
    with first_stage.missing(group) as missing:
        centered = first_stage.center(testbed, missing)
        if centered.cells:
            for draw, found in first_stage.search(testbed, centered):
                first_stage.keep_each(testbed, draw, found)
        return [cell for cell in group if cell not in missing or cell in centered.cells]


def score_candidates(testbed: Testbed, cells: Sequence[Cell]) -> list[Cell]:
    """MaxSim of each (query, candidate) pair not scored before, in one pass; returns the cells that have scores."""
    with rerank.missing(testbed, cells) as scoring:
        if scoring.is_needed:
            rerank.compute(testbed, scoring)
        return scoring.ready


def write_records(testbed: Testbed, cells: Sequence[Cell]) -> list[Request]:
    """Rerank to every depth, evaluate, write the record (of shards, the last one does); returns what to plan again."""
    again: list[Request] = []
    exact = next((cell for cell in cells if cell.exhaustive), None)  # what some cells are compared with
    for cell in cells:
        with testbed.collect([cell]), recording.claim(testbed, cell) as claimed:
            again += claimed.again
            if claimed.results:
                evaluated, runs = [], []
                for draw, result in zip(cell.each_draw, claimed.results, strict=True):
                    rankings = scores.rankings_of(draw, result)
                    evaluated.append(scores.evaluate(testbed, draw, result, rankings, exact))
                    runs += recording.keep_runs(testbed, cell, draw, rankings)
                recording.write(testbed, cell, claimed.results, evaluated, runs)
    return again
