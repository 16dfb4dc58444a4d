"""Records with the scores of single queries, made in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from harness.records import Draws, Record


def cell(
    method: str,
    scores: Mapping[str, Mapping[str, float]],
    center: str = "corpus",
    dataset: str = "scifact",
    model: str = "lateon",
    **others: Any,
) -> Record:
    """A record from depth -> query id -> NDCG@10; all depths have the same queries."""
    empty = {field.name: "" if field.type == "str" else {} for field in fields(Record) if field.name != "draws"}
    named = {"dataset": dataset, "model": model, "center": center, "method": method, "notes": [], "format": 1}
    queries = list(next(iter(scores.values())))
    per_query = {depth: [found[query] for query in queries] for depth, found in scores.items()}
    means = {depth: float(np.mean(values)) for depth, values in per_query.items()}
    made = Record(**{**empty, **named, "ndcg10": means, "per_query": {"queries": queries, **per_query}})
    return replace(made, **others)


def plaid(scores: Mapping[str, float], dataset: str = "scifact", **others: Any) -> Record:
    """PLAID's record from query id -> NDCG@10."""
    return cell("plaid", {"final": scores}, "none", dataset, **others)


def named(values: list[float]) -> dict[str, float]:
    """Query ids for values: q0, q1, ..."""
    return {f"q{i}": value for i, value in enumerate(values)}


def drawn(method: str, scores: Mapping[str, Any], seeds: tuple[int, ...], **others: Any) -> Record:
    """A record of several draws, from depth -> [draws][queries]."""
    arrays = {depth: np.array(values, dtype=float) for depth, values in scores.items()}
    means = {depth: named(values.mean(axis=0).tolist()) for depth, values in arrays.items()}
    return cell(method, means, draws=Draws(seeds, arrays), **others)
