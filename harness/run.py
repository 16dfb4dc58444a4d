"""The pipeline, top to bottom, for every cell: a method under a centering, for one model on one data set.

    data set -> token vectors -> centering -> candidates -> self matches out -> MaxSim reranking -> NDCG@10 -> record

What cells have in common is computed once: the documents' codes for centerings that treat documents alike, and the
MaxSim of a (query, document) pair, whichever methods, centerings and depths ask for it. PLAID, exact search and
reranking see the model's own vectors; centering is for the other first stages. The result of each step is kept
(`harness.measure.artifacts`) and computed under a lock, so that no step is done twice: not by this run, by a later one,
or by another process. A cell that fails is noted and does not stop the others (`harness.measure.failing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from harness.measure import first_stage, grouping, preflight, recording, rerank
from harness.measure.cells import Cell, Request
from harness.measure.failing import Failures
from harness.measure.pending import pending
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.vectors.store import stacked


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
        cells, again = pending(testbed, requests), []
        searched = [cell for cell in cells if cell.exhaustive]  # their search is the MaxSim pass
        for group in grouping.share_documents(cells):
            with testbed.collect(group):
                found = find_candidates(testbed, group)
                again += write_records(testbed, [cell for cell in found if cell.end_to_end])
                searched += [cell for cell in found if not cell.end_to_end]
        with testbed.collect(searched):
            again += write_records(testbed, score_candidates(testbed, searched))
        requests = again


def find_candidates(testbed: Testbed, group: Sequence[Cell]) -> list[Cell]:
    """First stage: one search for cells that share their documents; returns the cells that have candidates."""
    with first_stage.missing(group) as missing:
        centered = first_stage.center(testbed, missing)
        if centered.cells:
            documents = centered.shifts[0].apply_documents(testbed.docs)
            queries, method = stacked(centered.queries), registry.make(group[0].method.given)
            found = method.search(documents, queries, group[0].k + 1, testbed.resources)
            first_stage.keep_each(testbed, centered, found)
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
    for cell in cells:
        with testbed.collect([cell]), recording.claim(testbed, cell) as claimed:
            again += claimed.again
            if claimed.result is not None:
                rankings = recording.rankings_of(cell, claimed.result)
                scores = recording.evaluate(testbed, cell, claimed.result, rankings)
                recording.write(testbed, cell, claimed.result, rankings, scores)
    return again
