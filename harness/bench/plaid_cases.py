"""PLAID's build and search on a CPU, compared with the same by fast-plaid's own way of computing."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from harness.bench.timing import Case, Row, row
from harness.config.entries import entry
from harness.evaluation.agreement import exact_recall
from harness.evaluation.ndcg import CUT
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.methods.method import SearchResult
from harness.methods.plaid import Plaid

DEPTH = 1000
PHASES = {"encode_documents": "build", "search": "search"}
"""The phase of a search result, and what it is called here."""


class _AsItIs(Plaid):
    """PLAID with PyTorch's own kernels, and fast-plaid's own pieces of k-means."""

    kernels = pieces = staticmethod(lambda device: nullcontext())


def plaid(testbed: Testbed, runs: int) -> Iterator[Row]:
    """A row for the build and one for the search; the peer is the same code without our kernels and pieces.

    The row of the search has NDCG@10 x 100 of both (rows that are the query's own id are not removed), and how many of
    each query's first ten documents are the same. There is no run to warm up: a build takes minutes.
    """
    options = registry.arguments(entry("method", "plaid"))
    methods = {"ours": Plaid(**options), "peer": _AsItIs(**options)}
    docs, queries = testbed.docs, testbed.queries
    found: dict[str, list[SearchResult]] = {name: [] for name in methods}
    for _ in range(runs):
        for name, method in methods.items():
            with tempfile.TemporaryDirectory(prefix="plaid-") as folder:
                resources = replace(testbed.resources, cache=Path(folder))
                found[name].append(method.search(docs, queries, min(DEPTH, len(docs)), resources))
    mine, its = (results[0].ranking.rows for results in found.values())
    ndcg = " and ".join(f"{100 * testbed.evaluator.ndcg10(rows).mean():.2f}" for rows in (mine, its))
    shared = exact_recall(mine, its, CUT, CUT).mean()
    said = {"search": f"NDCG@10 {ndcg}; {100 * shared:.1f} % of the first {CUT} are the same"}
    built = f"{len(docs)} documents, {docs.lengths.sum()} tokens"
    asked = f"{len(queries)} queries of {queries.lengths.mean():.0f} tokens"
    for phase, title in PHASES.items():
        seconds = {name: [result.seconds[phase] for result in results] for name, results in found.items()}
        ours, theirs = (statistics.median(seconds[name]) for name in methods)
        text = f"{title} of {testbed.dataset_name}, {built if title == 'build' else asked}"
        case = Case("plaid", text, lambda: None, ("fast-plaid", "fast-plaid's own kernels and k-means"))
        yield replace(row(case, ours, theirs, None, seconds["ours"]), found=said.get(title, ""))
