"""Groups: data sets that count as one (`harness.config.suites`), each with records of its own.

    score of a group = mean over its data sets of the mean over their queries

The record of a group is made in memory, where all its data sets were measured, and is never written. It has the queries
of all its data sets. A query's score is weighted by

    (queries of the group) / (data sets of the group x queries of its own data set)

so that their mean is the score of the group, and tests that are paired over queries need not know of groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from harness.config.measures import Measure
from harness.config.suites import Units
from harness.records.draws import Draws
from harness.records.record import Record
from harness.system.files import digest

SIZES = ("documents", "document_tokens")
"""The details of a record that are sums in that of a group; it has no others."""


def with_groups(records: Iterable[Record], units: Units) -> list[Record]:
    """The records, and one more for each group and cell of which every data set was measured."""
    found = list(records)
    cells: dict[tuple[str, str, str], dict[str, Record]] = {}
    for record in found:
        cells.setdefault((record.model, record.center, record.method), {})[record.dataset] = record
    for name, members in units.items():
        if members != [name]:
            found += [pooled(name, [own[m] for m in members]) for own in cells.values() if own.keys() >= {*members}]
    return found


def pooled(name: str, records: Sequence[Record]) -> Record:
    """The record of a group from those of its data sets: scores are means, seconds and bytes are sums.

    It has the depths, phases and draws that all have. Versions and the like are kept where they are the same in all.
    """
    first = records[0]
    scores = {depth: [record.ndcg10[depth] for record in records] for depth in _in_all(r.ndcg10 for r in records)}
    counts = [len(record.per_query.get("queries", [])) for record in records]
    weights = [sum(counts) / len(counts) / max(count, 1) for count in counts]
    queries = [f"{record.dataset}/{query}" for record in records for query in record.per_query.get("queries", [])]
    measures = {
        name: _weighted([record.measures[name] for record in records], weights)
        for name in _in_all(record.measures for record in records)
    }
    return replace(
        first,
        dataset=name,
        ndcg10={depth: fmean(values) for depth, values in scores.items()},
        candidate_recall={
            depth: fmean(record.candidate_recall[depth] for record in records)
            for depth in _in_all(record.candidate_recall for record in records)
        },
        candidates={},
        seconds=_sums([record.seconds for record in records]),
        bytes=_sums([record.bytes for record in records]),
        details=_sums([{key: r.details[key] for key in SIZES if key in r.details} for r in records]),
        notes=[],
        identity={**first.identity, "dataset": digest([record.identity.get("dataset") for record in records])},
        config={**first.config, "dataset": {"name": name}},
        sha256=_same([record.sha256 for record in records]),
        seeds=_same([record.seeds for record in records]),
        versions=_same([record.versions for record in records]),
        host=_same([record.host for record in records]),
        commit=first.commit if len({record.commit for record in records}) == 1 else "",
        started=min(record.started for record in records),
        per_query={"queries": queries, **_weighted([_of_depths(record) for record in records], weights)},
        measures=measures,
        draws=_draws(records, weights, list(measures)),
    )


def _of_depths(record: Record) -> dict[str, list[float]]:
    """NDCG@10 of each query by depth; empty lists in a record without the scores of queries."""
    return {depth: record.per_query.get(depth, []) for depth in record.ndcg10}


def _weighted(scores: Sequence[Mapping[str, list[float]]], weights: Sequence[float]) -> dict[str, list[float]]:
    """Depth -> the weighted scores of all data sets, one after the other; the depths that all have."""
    return {
        depth: [weight * value for own, weight in zip(scores, weights, strict=True) for value in own[depth]]
        for depth in _in_all(scores)
    }


def _draws(records: Sequence[Record], weights: Sequence[float], measures: Sequence[str]) -> Draws:
    """The draws that all records have, if any of them has several."""
    if not any(record.draws.seeds for record in records):
        return Draws()
    shared = [seed for seed in records[0].draw_seeds if all(seed in record.draw_seeds for record in records)]
    seeds = tuple(seed for seed in shared if seed is not None)

    def chosen(record: Record, depth: str) -> np.ndarray:
        values = record.draws.ndcg10[depth] if record.draws.seeds else np.array([record.per_query[depth]])
        return values[[record.draw_seeds.index(seed) for seed in seeds]]

    def joined(views: Sequence[Record]) -> dict[str, np.ndarray]:
        parts = list(zip(views, weights, strict=True))
        depths = _in_all(view.ndcg10 for view in views)
        return {depth: np.concatenate([w * chosen(one, depth) for one, w in parts], axis=1) for depth in depths}

    seen = {name: [record.seen_by(Measure.of(name)) for record in records] for name in measures}
    return Draws(seeds, joined(records), {name: joined(views) for name, views in seen.items()}) if seeds else Draws()


def _in_all(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys that all mappings have, in the order of the first."""
    first, *others = mappings
    return [key for key in first if all(key in other for other in others)]


def _sums(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: sum(mapping[key] for mapping in mappings) for key in _in_all(mappings)}


def _same(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The items that all mappings have alike."""
    first, *others = mappings
    return {key: value for key, value in first.items() if all(other.get(key, ...) == value for other in others)}
