"""The verdict on a cell that was measured again: whether it has the scores of its record.

    same              all scores (NDCG@10 of each query, recall, and their means) are equal to the last bit
    within rounding   all scores differ by less than `ROUNDING`
    different         a score differs by more, or an input differs, which makes it another cell

Versions, host and commit are not inputs: differences in them are reported, but do not change the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.records import Record
from harness.tables import formats

ROUNDING = 1e-6
"""A difference between scores from 0 to 1. Sums in another order differ far less, one swap of documents far more."""
SAME, WITHIN, DIFFERENT = "same", "within rounding", "different"


@dataclass(frozen=True)
class Depth:
    """The differences in scores (0 to 1) at one depth.

    Attributes
    ----------
    depth : rerank depth, as in the record
    mean : difference in mean NDCG@10, now minus then
    largest : largest difference in the NDCG@10 of a query (in any draw)
    recall : size of the difference in the mean recall of the candidates
    queries : number of queries whose NDCG@10 differs
    """

    depth: str
    mean: float
    largest: float
    recall: float
    queries: int


@dataclass(frozen=True)
class Comparison:
    """A record and its repetition.

    Attributes
    ----------
    then, now : the record, and that of the same cell, measured again
    inputs, versions, host : "name: then, now" for each difference
    depths : empty if the queries or depths themselves differ
    """

    then: Record
    now: Record
    inputs: list[str]
    versions: list[str]
    host: list[str]
    depths: list[Depth]

    @property
    def verdict(self) -> str:
        """`SAME`, `WITHIN` or `DIFFERENT`."""
        if self.inputs or not self.depths:
            return DIFFERENT
        largest = max(max(abs(depth.mean), depth.largest, depth.recall) for depth in self.depths)
        return SAME if largest == 0 else WITHIN if largest < ROUNDING else DIFFERENT


def compare(then: Record, now: Record) -> Comparison:
    """Compare a record with that of the same cell, measured again."""
    inputs = _differing(then.identity, now.identity)
    asked, asked_now = then.per_query["queries"], now.per_query["queries"]
    if asked != asked_now:
        inputs.append(f"queries: {len(asked)}, {len(asked_now)} (not the same ids in the same order)")
    if (then.draws.seeds or now.draws.seeds) and then.draw_seeds != now.draw_seeds:
        inputs.append(f"draws: {len(then.draw_seeds)}, {len(now.draw_seeds)} (not the same seeds)")
    comparable = asked == asked_now and then.ndcg10.keys() == now.ndcg10.keys()
    depths = [_depth(depth, then, now) for depth in then.ndcg10] if comparable else []
    return Comparison(
        then, now, inputs, _differing(then.versions, now.versions), _differing(then.host, now.host), depths
    )


def _depth(depth: str, then: Record, now: Record) -> Depth:
    differences = np.abs(np.subtract(then.per_query[depth], now.per_query[depth]))
    if depth in then.draws.ndcg10 and then.draw_seeds == now.draw_seeds:  # of each query, the draw that differs most
        differences = np.abs(then.draws.ndcg10[depth] - now.draws.ndcg10[depth]).max(axis=0)
    return Depth(
        depth,
        now.ndcg10[depth] - then.ndcg10[depth],
        float(differences.max()),
        abs(now.candidate_recall.get(depth, 0.0) - then.candidate_recall.get(depth, 0.0)),
        int((differences > 0).sum()),
    )


def _differing(then: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """A line "name: then, now" for each option that differs; nested options have dotted names."""
    lines = []
    for key in [*then, *(key for key in now if key not in then)]:
        a, b = then.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += _differing(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {_short(a)}, {_short(b)}")
    return lines


def _short(value: Any) -> str:
    """A value as text; a sha256 is cut to its beginning."""
    text = "nothing" if value is None else str(value)
    return text[:12] if len(text) == 64 and " " not in text else text


def text(comparison: Comparison, source: str) -> str:
    """A comparison as the command line prints it; `source` says where the token vectors came from."""
    then, verdict = comparison.then, comparison.verdict
    names = f"{then.dataset}  {then.model}  {then.center}  {then.method}"
    facts = [f"{names}, measured {then.started}, commit {then.commit[:12]}", f"Token vectors: {source}."]
    for what, found in (("Inputs", comparison.inputs), ("Versions", comparison.versions), ("Host", comparison.host)):
        differ = "; ".join(found)
        facts.append(f"{what}: {f'differ (record, now): {differ}' if found else 'the same'}.")
    shown = [_line(depth, comparison) for depth in comparison.depths]
    meaning = {
        SAME: "all scores are equal to the last bit",
        WITHIN: f"all scores differ by less than {ROUNDING:g}",
        DIFFERENT: "another input, and so another cell"
        if comparison.inputs
        else f"scores differ by {ROUNDING:g} or more",
    }
    parts = ["\n".join(facts), *([formats.pipes(pd.DataFrame(shown))] if shown else [])]
    return "\n\n".join([*parts, f"Verdict: {verdict} ({meaning[verdict]})."])


def _line(depth: Depth, comparison: Comparison) -> dict[str, str]:
    return {
        "Depth": depth.depth,
        "Record": f"{100 * comparison.then.ndcg10[depth.depth]:.4f}",
        "Now": f"{100 * comparison.now.ndcg10[depth.depth]:.4f}",
        "Difference": f"{depth.mean:.2g}",
        "Largest for a query": f"{depth.largest:.2g}",
        "Difference in recall": f"{depth.recall:.2g}",
        "Queries that differ": f"{depth.queries} of {len(comparison.then.per_query['queries'])}",
    }
