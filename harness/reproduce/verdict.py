"""Whether a cell that was measured again gave what its record says.

    same              all scores (NDCG@10 of each query, recall, and their means), down to the last bit
    within rounding   all of them differ by less than `ROUNDING`
    different         one differs by more; or an input does, which makes it another cell

Versions, host and commit are no inputs: where they differ, that is said whatever the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.records import Record
from harness.tables import formats

ROUNDING = 1e-6
"""Of a score from 0 to 1: far above what the order of a sum changes, far below what one document out of place does."""
SAME, WITHIN, DIFFERENT = "same", "within rounding", "different"


@dataclass(frozen=True)
class Depth:
    """How much the scores at one depth differ.

    Attributes
    ----------
    mean : of the mean NDCG@10
    largest : of one query's NDCG@10
    recall : of the mean recall of the candidates
    queries : how many queries' NDCG@10 differ
    """

    depth: str
    mean: float
    largest: float
    recall: float
    queries: int


@dataclass(frozen=True)
class Comparison:
    """A record and the one that was measured now.

    Attributes
    ----------
    inputs, versions, host : "name: then, now", of what differs
    depths : none if the queries or depths themselves are not the same
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
        largest = max(max(abs(one.mean), one.largest, one.recall) for one in self.depths)
        return SAME if largest == 0 else WITHIN if largest < ROUNDING else DIFFERENT


def compare(then: Record, now: Record) -> Comparison:
    """Compare a record with the same cell's, measured now."""
    inputs = _differing(then.identity, now.identity)
    asked, asked_now = then.per_query["queries"], now.per_query["queries"]
    if asked != asked_now:
        inputs.append(f"queries: {len(asked)}, {len(asked_now)} (not the same ids in the same order)")
    comparable = asked == asked_now and then.ndcg10.keys() == now.ndcg10.keys()
    depths = [_depth(depth, then, now) for depth in then.ndcg10] if comparable else []
    return Comparison(
        then, now, inputs, _differing(then.versions, now.versions), _differing(then.host, now.host), depths
    )


def _depth(depth: str, then: Record, now: Record) -> Depth:
    of_queries = [abs(a - b) for a, b in zip(then.per_query[depth], now.per_query[depth], strict=True)]
    return Depth(
        depth,
        now.ndcg10[depth] - then.ndcg10[depth],
        max(of_queries),
        abs(now.candidate_recall.get(depth, 0.0) - then.candidate_recall.get(depth, 0.0)),
        sum(value > 0 for value in of_queries),
    )


def _differing(then: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """What differs, options of options by their dotted names."""
    lines = []
    for key in [*then, *(key for key in now if key not in then)]:
        a, b = then.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += _differing(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {_short(a)}, {_short(b)}")
    return lines


def _short(value: Any) -> str:
    """A value, of a sha256 its beginning."""
    text = "nothing" if value is None else str(value)
    return text[:12] if len(text) == 64 and " " not in text else text


def text(comparison: Comparison, source: str) -> str:
    """What the command line says of a comparison; `source` is where the token vectors came from."""
    then, verdict = comparison.then, comparison.verdict
    names = f"{then.dataset}  {then.model}  {then.center}  {then.method}"
    said = [f"{names}, measured {then.started}, commit {then.commit[:12]}", f"Token vectors: {source}."]
    for what, found in (("Inputs", comparison.inputs), ("Versions", comparison.versions), ("Host", comparison.host)):
        differ = "; ".join(found)
        said.append(f"{what}: {f'differ (record, now): {differ}' if found else 'the same'}.")
    shown = [_line(one, comparison) for one in comparison.depths]
    meaning = {
        SAME: "all scores, down to the last bit",
        WITHIN: f"all scores differ by less than {ROUNDING:g}",
        DIFFERENT: "another input, and so another cell"
        if comparison.inputs
        else f"scores differ by {ROUNDING:g} or more",
    }
    parts = ["\n".join(said), *([formats.pipes(pd.DataFrame(shown))] if shown else [])]
    return "\n\n".join([*parts, f"Verdict: {verdict} ({meaning[verdict]})."])


def _line(one: Depth, comparison: Comparison) -> dict[str, str]:
    return {
        "Depth": one.depth,
        "Record": f"{100 * comparison.then.ndcg10[one.depth]:.4f}",
        "Now": f"{100 * comparison.now.ndcg10[one.depth]:.4f}",
        "Difference": f"{one.mean:.2g}",
        "Largest of a query": f"{one.largest:.2g}",
        "Of recall": f"{one.recall:.2g}",
        "Queries that differ": f"{one.queries} of {len(comparison.then.per_query['queries'])}",
    }
