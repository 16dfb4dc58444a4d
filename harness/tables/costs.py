"""What the rows of a table cost: bytes of the index, seconds of its making, milliseconds of a query.

    index         `index` of a record's bytes: what the first stage searches, as it is or would be kept (of exact
                  search: the token vectors)
    encode        `encode_documents` of its seconds: the documents' token vectors, by the model; for all methods alike
    build         `<method>_encode_documents`: the method's codes or index of them (exact search has none)
    first stage   `<method>_encode_queries` + `<method>_search`, by the queries that were searched: what a query takes
                  in a batch of all, from its token vectors to the first k documents
    rerank        `rerank`, by the queries: the one MaxSim pass to the greatest depth

Left out are the model's encoding of the queries, the means of centerings, and the evaluation. Cells that are measured
together share phases: their first stages are one search, recognized by equal seconds, over the queries of all of them;
their MaxSim pass is over the pairs of all, exact search included, and so an upper bound for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from statistics import fmean

import pandas as pd

from harness.methods.registry import end_to_end
from harness.records import Record
from harness.tables import MEAN, Row, Section
from harness.tables.formats import decimals, size
from harness.tables.per_query import scores
from harness.tables.titles import center_label, method_title, scope, title


@dataclass(frozen=True)
class Cost:
    """One cell's, or a mean over data sets; NaN where there is no such phase. Times are wall clock."""

    index_bytes: float
    encode_seconds: float
    build_seconds: float
    first_stage_ms: float
    rerank_ms: float


NAMES = [field.name for field in fields(Cost)]


Costs = dict[Row, dict[str, Cost]]
"""Row -> data set -> cost, of what was measured."""


def measured(records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str]) -> Costs:
    """What each row cost on each data set that it has."""
    found = {(Row(r.model, r.center, r.method), r.dataset): r for r in records}
    return {
        row: {name: _cost(found[row, name], records) for name in datasets if (row, name) in found}
        for row in rows
        if any((row, name) in found for name in datasets)
    }


def _cost(record: Record, records: Sequence[Record]) -> Cost:
    method, seconds, queries = (
        record.method.split("+")[0],
        record.seconds,
        len(scores(record, next(iter(record.ndcg10)))),
    )
    first_stage = seconds.get(f"{method}_encode_queries", 0.0) + seconds.get(f"{method}_search", math.nan)
    return Cost(
        index_bytes=float(record.bytes.get("index", math.nan)),
        encode_seconds=seconds.get("encode_documents", math.nan),
        build_seconds=seconds.get(f"{method}_encode_documents", math.nan),
        first_stage_ms=1000 * first_stage / queries / _searched_together(record, records, f"{method}_search"),
        rerank_ms=math.nan if end_to_end(record.method) else 1000 * seconds.get("rerank", math.nan) / queries,
    )


def _searched_together(record: Record, records: Sequence[Record], phase: str) -> int:
    """How many cells' queries one search was over: seconds to the last digit are of the same search."""
    cell = (record.dataset, record.model, record.method, record.seconds.get(phase))
    return sum((r.dataset, r.model, r.method, r.seconds.get(phase)) == cell for r in records)


def mean(costs: Sequence[Cost]) -> Cost:
    """The mean of each cost over data sets; NaN where one of them has none."""
    return Cost(*map(fmean, zip(*map(astuple, costs), strict=True)))


def sections(costs: Costs, records: Sequence[Record], datasets: Sequence[str]) -> list[Section]:
    """The table of costs, if there are any: one line for each row, means over its data sets."""
    lines = []
    for row, each in costs.items():
        one = mean(list(each.values()))
        lines.append(
            {
                "Model": title(row.model) + scope(len(each), datasets),
                "Center": center_label(row.center),
                "Method": method_title(row.method),
                "Index": size(one.index_bytes),
                "Encode, s": decimals(one.encode_seconds, 1),
                "Build, s": decimals(one.build_seconds, 1),
                "First stage, ms / query": decimals(one.first_stage_ms, 2),
                "Rerank, ms / query": decimals(one.rerank_ms, 2),
            }
        )
    return [Section("Cost, means over the data sets.", pd.DataFrame(lines), _remarks(costs, records))] if lines else []


def _remarks(costs: Costs, records: Sequence[Record]) -> list[str]:
    shown = [r for r in records if r.dataset in costs.get(Row(r.model, r.center, r.method), {})]
    return [
        "Wall clock. Encode: token vectors of the documents, by the model. Build: the method's codes or index of them. "
        "First stage: from a query's token vectors to its candidates, in a batch of all queries. Rerank: MaxSim to the "
        "greatest depth; one pass for all cells measured together (exact search among them), so that it is an upper "
        "bound for each.",
        _hosts(sorted({_host(record) for record in shown})),
    ]


def _hosts(hosts: Sequence[str]) -> str:
    if len(hosts) == 1:
        return f"Measured on {hosts[0]}."
    return f"Measured on {len(hosts)} different hosts, whose seconds cannot be compared: {'; '.join(hosts)}."


def _host(record: Record) -> str:
    host = record.host
    words = [host.get("gpu"), host.get("cpu"), f"{host.get('cores', '?')} cores", f"{host.get('threads', '?')} threads"]
    return ", ".join(word for word in words if word)


def columns(table: pd.DataFrame, costs: Costs, datasets: Sequence[str]) -> pd.DataFrame:
    """A long form with the costs of each line's row on its data set; a mean over fewer data sets is left empty."""
    values = {}
    for row, each in costs.items():
        whole = {MEAN: mean(list(each.values()))} if len(each) == len(datasets) else {}
        for name, one in {**each, **whole}.items():
            values[row.model, center_label(row.center), row.method, name] = astuple(one)
    nothing = (math.nan,) * len(NAMES)
    keys = table[["model", "center", "method", "dataset"]].itertuples(index=False, name=None)
    added = pd.DataFrame([values.get(key, nothing) for key in keys], columns=NAMES, index=table.index)
    added["index_bytes"] = added["index_bytes"].round().astype("Int64")
    return table.join(added)
