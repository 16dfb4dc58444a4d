"""What can be advised: each first stage at each rerank depth, with its loss to PLAID and what it costs.

bytes         per document: the first stage's index, and with reranking also the token vectors, which MaxSim reads
milliseconds  per query: the first stage, and with reranking the MaxSim pass. A record has the time of the pass to
              its greatest depth, which is scaled to the depth; it is an upper bound, as `harness.tables.costs` says

A model whose documents are pooled is a configuration of that model: its loss is to PLAID of all token vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.records import FINAL, Record
from harness.tables import costs
from harness.tables.differences import Difference, Differences
from harness.tables.rows import PLAID, Row, by_row, unpooled
from harness.tables.table import depths_of


@dataclass(frozen=True)
class Candidate:
    """A first stage at a rerank depth; depth "" for a method that ranks with MaxSim itself.

    Attributes
    ----------
    draws : draws of its random numbers, the fewest of all data sets; 0 for a method without any
    bytes : per document, mean over data sets
    milliseconds : per query, mean over data sets
    differences : data set -> the difference to PLAID, NDCG@10 from -1 to 1
    """

    row: Row
    depth: str
    draws: int
    bytes: float
    milliseconds: float
    differences: Differences

    @property
    def model(self) -> str:
        """The model, whether its documents are pooled or not."""
        return unpooled(self.row.model)


def candidates(
    records: Sequence[Record], rows: Iterable[Row], datasets: Sequence[str], depths: Sequence[int]
) -> list[Candidate]:
    """The rows at all depths, PLAID too, as far as they and their costs were measured on every data set."""
    found, result = by_row(records), []
    for row in rows:
        own = [found.get((row, name)) for name in datasets]
        plaid = [found.get((Row(unpooled(row.model), "none", PLAID), name)) for name in datasets]
        pairs = [(record, other) for record, other in zip(own, plaid, strict=True) if record and other]
        if len(pairs) < len(datasets):
            continue
        of_sets = costs.measured(records, [row], datasets)[row]
        draws = min(sum(seed is not None for seed in record.draw_seeds) for record, _ in pairs)
        for depth in depths_of(row, depths):
            if any((depth or FINAL) not in record.ndcg10 for record, _ in pairs):
                continue
            size = fmean(costs.bytes_at(record, depth) for record, _ in pairs)
            time = fmean(costs.milliseconds_at(record, depth, of_sets[record.dataset]) for record, _ in pairs)
            if math.isfinite(size + time):
                differences = {one.dataset: Difference.of(one, depth or FINAL, other, FINAL) for one, other in pairs}
                result.append(Candidate(row, depth, draws, size, time, differences))
    return result
