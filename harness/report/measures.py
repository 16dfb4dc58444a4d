"""The measures beside NDCG@10: a table for each one that records have, also for recall of exact MaxSim (agreement)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.config.measures import NDCG10, Measure
from harness.records import Record
from harness.tables import Row, Section, layouts, long_form, row_of, seen_by


def sections(
    records: Sequence[Record], rows: Sequence[Row], suite: str, datasets: Sequence[str], depths: Sequence[int]
) -> Iterator[Section]:
    """A section for each measure, over the rows and the data sets that have it."""
    for measure in _named(records):
        seen = seen_by(records, measure)
        own = [row for row in rows if row in {row_of(record) for record in seen}]
        sets = [name for name in datasets if name in {record.dataset for record in seen}]
        if own and sets:
            table = long_form(seen, own, sets, depths)
            name = suite if sets == list(datasets) else "+".join(sets)
            remarks = layouts.remarks(table, [], name, sets, measure=measure)
            yield Section(measure.title, layouts.lines(table, sets), remarks)


def _named(records: Sequence[Record]) -> list[Measure]:
    """The measures of the records, by kind and cut."""
    found = {Measure.of(name) for record in records for name in record.measures}
    return sorted(found - {NDCG10}, key=lambda measure: (measure.kind, measure.cut))
