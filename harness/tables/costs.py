"""Costs of the rows of a table: size of the index, time to build it, time per query.

    index         bytes: ``index`` of the record's bytes, the size on disk of what the first stage searches (for exact
                  search: the token vectors)
    encode        seconds: ``encode_documents``, the time in which the model encodes the documents; the same for all
                  methods
    build         seconds: ``<method>_encode_documents``, the time in which the method encodes or indexes the token
                  vectors (none for exact search)
    first stage   milliseconds per query: ``<method>_encode_queries`` + ``<method>_search``, divided by the number of
                  queries that were searched together; from a query's token vectors to its first k documents
    rerank        milliseconds per query: ``rerank``, the one MaxSim pass to the greatest depth

Not included are the time in which the model encodes queries, the means that centerings subtract, and the evaluation.
Cells that are measured together share phases. Their first stages are one search over the queries of all these cells,
which is recognized by equal seconds. Their MaxSim pass scores the pairs of all these cells, exact search included, so
that its time is an upper bound for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from statistics import fmean

import pandas as pd

from harness.methods.registry import base_name, end_to_end
from harness.records import Record
from harness.tables.formats import decimals, scope, size
from harness.tables.layouts import Section
from harness.tables.rows import Row, by_row
from harness.tables.table import MEAN
from harness.tables.titles import center_label, method_title, title


@dataclass(frozen=True)
class Cost:
    """The cost of a cell, or a mean over data sets; NaN for a phase that the cell lacks. Times are wall-clock times."""

    index_bytes: float
    encode_seconds: float
    build_seconds: float
    first_stage_ms: float
    rerank_ms: float


NAMES = [field.name for field in fields(Cost)]
Costs = dict[Row, dict[str, Cost]]
"""Row -> data set -> cost, for the cells that were measured."""


def measured(records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str]) -> Costs:
    """The cost of each row on each data set on which it was measured."""
    found = by_row(records)
    return {
        row: {name: _cost(found[row, name], records) for name in datasets if (row, name) in found}
        for row in rows
        if any((row, name) in found for name in datasets)
    }


def _cost(record: Record, records: Sequence[Record]) -> Cost:
    method, seconds = base_name(record.method), record.seconds
    queries = len(record.query_scores(next(iter(record.ndcg10))))
    first_stage = seconds.get(f"{method}_encode_queries", 0.0) + seconds.get(f"{method}_search", math.nan)
    return Cost(
        index_bytes=float(record.bytes.get("index", math.nan)),
        encode_seconds=seconds.get("encode_documents", math.nan),
        build_seconds=seconds.get(f"{method}_encode_documents", math.nan),
        first_stage_ms=1000 * first_stage / queries / _searched_together(record, records, f"{method}_search"),
        rerank_ms=math.nan if end_to_end(record.method) else 1000 * seconds.get("rerank", math.nan) / queries,
    )


def _searched_together(record: Record, records: Sequence[Record], phase: str) -> int:
    """How many cells shared a search: seconds that are equal to the last digit come from the same search."""
    cell = (record.dataset, record.model, record.method, record.seconds.get(phase))
    return sum((r.dataset, r.model, r.method, r.seconds.get(phase)) == cell for r in records)


def bytes_at(record: Record, depth: str) -> float:
    """Bytes per document of what is searched and, with reranking, of the token vectors, which MaxSim reads.

    Parameters
    ----------
    depth
        The rerank depth; "" for a method that ranks with MaxSim itself.
    """
    sizes, documents = record.bytes, record.details.get("documents", math.nan)
    reranked = sizes.get("tokens", math.nan) if int(depth or 0) else 0
    return float(sizes.get("index", math.nan) + reranked) / documents


def milliseconds_at(record: Record, depth: str, cost: Cost) -> float:
    """Milliseconds per query of the first stage and, with reranking, of the depth's share of the MaxSim pass.

    The pass scored at most as many documents of a query as it has candidates. Where queries have different numbers of
    them, the share is that of a query with their mean number, which is never too small, as the least of the depth and
    the candidates is concave in their number (Jensen). NaN for a depth that was not measured.
    """
    if not int(depth or 0):
        return cost.first_stage_ms
    if depth not in record.ndcg10:
        return math.nan
    greatest = max(map(int, record.ndcg10))
    scored = max(1.0, min(greatest, record.candidates.get("mean", greatest)))
    return cost.first_stage_ms + cost.rerank_ms * min(1.0, int(depth) / scored)


def mean(costs: Sequence[Cost]) -> Cost:
    """The mean of each cost over data sets; NaN if one of them lacks it."""
    return Cost(*map(fmean, zip(*map(astuple, costs), strict=True)))


def sections(costs: Costs, records: Sequence[Record], datasets: Sequence[str]) -> list[Section]:
    """The table of costs: one line for each row, means over its data sets; no section if nothing was measured."""
    lines, found = [], by_row(records)
    indexed = any("index_recall" in found[row, name].details for row, some in costs.items() for name in some)
    for row, by_dataset in costs.items():
        cost = mean(list(by_dataset.values()))
        lines.append(
            {
                "Model": title(row.model) + scope(len(by_dataset), datasets),
                "Center": center_label(row.center),
                "Method": method_title(row.method),
                "Index": size(cost.index_bytes),
                **(_of_index(by_dataset, [found[row, name] for name in by_dataset]) if indexed else {}),
                "Encode, s": decimals(cost.encode_seconds, 1),
                "Build, s": decimals(cost.build_seconds, 1),
                "First stage, ms / query": decimals(cost.first_stage_ms, 2),
                "Rerank, ms / query": decimals(cost.rerank_ms, 2),
            }
        )
    return [Section("Cost, means over the data sets.", pd.DataFrame(lines), _remarks(costs, records))] if lines else []


def _of_index(by_dataset: Mapping[str, Cost], records: Sequence[Record]) -> dict[str, str]:
    """What is only shown beside indexes: bytes per document, and how much of exact search's first 100 they find."""
    cost = zip(by_dataset.values(), records, strict=True)
    shares = [one.index_bytes / record.details.get("documents", math.nan) for one, record in cost]
    recalls = [record.details.get("index_recall", {}).get("100", math.nan) for record in records]
    return {
        "Bytes / document": decimals(fmean(shares), 0),
        "Recall@100 of exact": decimals(100 * fmean(recalls), 1),
    }


def _remarks(costs: Costs, records: Sequence[Record]) -> list[str]:
    shown = [r for r in records if r.dataset in costs.get(Row(r.model, r.center, r.method), {})]
    return [
        "Wall clock. Encode: token vectors of the documents, by the model. Build: the method's codes or index of them. "
        "First stage: from a query's token vectors to its candidates, in a batch of all queries. Rerank: MaxSim to the "
        "greatest depth; one pass for all cells measured together (exact search among them), so that it is an upper "
        "bound for each.",
        measured_on(hosts(shown)),
    ]


def hosts(records: Sequence[Record]) -> list[str]:
    """The machines on which some records were measured, with the number of threads."""
    return sorted({_host(record) for record in records})


def measured_on(found: Sequence[str]) -> str:
    """Hosts in a sentence."""
    if len(found) == 1:
        return f"Measured on {found[0]}."
    return f"Measured on {len(found)} different hosts, whose seconds cannot be compared: {'; '.join(found)}."


def _host(record: Record) -> str:
    host = record.host
    words = [host.get("gpu"), host.get("cpu"), f"{host.get('cores', '?')} cores", f"{host.get('threads', '?')} threads"]
    return ", ".join(word for word in words if word)


def columns(table: pd.DataFrame, costs: Costs, datasets: Sequence[str]) -> pd.DataFrame:
    """The long form `table` with the columns `NAMES`; the mean of a row that lacks a data set is empty."""
    values = {}
    for row, by_dataset in costs.items():
        complete = len(by_dataset) == len(datasets)
        means = {MEAN: mean(list(by_dataset.values()))} if complete else {}
        for name, cost in {**by_dataset, **means}.items():
            values[row.model, row.center, row.method, name] = astuple(cost)
    nothing = (math.nan,) * len(NAMES)
    keys = table[["model", "center", "method", "dataset"]].itertuples(index=False, name=None)
    added = pd.DataFrame([values.get(key, nothing) for key in keys], columns=NAMES, index=table.index)
    added["index_bytes"] = added["index_bytes"].round().astype("Int64")
    return table.join(added)
