"""Groups of queries, and the tables of each: where a first stage loses is not the same for all queries.

    query_length    words of the query (runs between blanks: no tokenizer is needed)
    judged          documents that are judged for it, of any value
    relevant        documents that are judged relevant

The queries of each data set are cut into thirds, so that no group is one data set. Queries with the same number stay
together: the low third has those up to the number at a third of the order, the middle third those up to the number at
two thirds. A group may be empty where most queries have the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from harness.data.dataset import Dataset
from harness.records import Draws, Record
from harness.system.errors import HarnessError

THIRDS = ("low", "middle", "high")
KINDS: dict[str, tuple[str, Callable[[Dataset, str], int]]] = {
    "query_length": ("words of the query", lambda dataset, query: len(dataset.queries[query].split())),
    "judged": ("judged documents", lambda dataset, query: len(dataset.qrels[query])),
    "relevant": ("relevant documents", lambda dataset, query: sum(s > 0 for s in dataset.qrels[query].values())),
}
"""Value of the option ``by`` -> what is counted, and the number of a query."""


@dataclass(frozen=True)
class QueryGroup:
    """A third of the queries of each data set.

    Attributes
    ----------
    name : one of `THIRDS`
    by : what its queries were grouped by, one of `KINDS`
    numbers : data set -> query id -> the query's number
    """

    name: str
    by: str
    numbers: Mapping[str, Mapping[str, int]]

    @property
    def title(self) -> str:
        """The group, with the range of numbers and the queries of each data set."""
        ranges = [
            f"{name} {min(own.values())} to {max(own.values())} ({len(own)} queries)"
            for name, own in self.numbers.items()
            if own
        ]
        return f"The {self.name} third by {KINDS[self.by][0]}: {', '.join(ranges)}."

    def seen_in(self, records: Iterable[Record]) -> list[Record]:
        """The records as if only the group's queries had been asked, without those on whose data set it is empty."""
        return [restricted(record, own) for record in records if (own := self.numbers.get(record.dataset))]


def groups(by: str, datasets: Mapping[str, Dataset]) -> list[QueryGroup]:
    """The three groups, those without any query left out."""
    count = KINDS[by][1]
    numbers = {name: {query: count(own, query) for query in own.queries} for name, own in datasets.items()}
    thirds = {name: _thirds(own) for name, own in numbers.items()}
    found = [QueryGroup(third, by, {name: own[i] for name, own in thirds.items()}) for i, third in enumerate(THIRDS)]
    return [group for group in found if any(group.numbers.values())]


def _thirds(numbers: Mapping[str, int]) -> list[dict[str, int]]:
    """The queries up to the number at a third of the order, up to that at two thirds, and the others."""
    ordered = sorted(numbers.values())
    first, second = (ordered[-(-len(ordered) * part // 3) - 1] for part in (1, 2))
    places = {query: (number > first) + (number > second) for query, number in numbers.items()}
    return [{query: numbers[query] for query, place in places.items() if place == i} for i in range(len(THIRDS))]


def restricted(record: Record, queries: Collection[str]) -> Record:
    """The record as if only these of its queries had been asked: scores, means and draws are theirs."""
    places = [i for i, query in enumerate(record.per_query["queries"]) if query in queries]
    per_query = {name: [values[i] for i in places] for name, values in record.per_query.items()}
    measures = {
        name: {depth: [values[i] for i in places] for depth, values in scores.items()}
        for name, scores in record.measures.items()
    }

    def drawn(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {depth: values[:, places] for depth, values in scores.items()}

    further = {name: drawn(scores) for name, scores in record.draws.measures.items()}
    return replace(
        record,
        ndcg10={depth: fmean(per_query[depth]) for depth in record.ndcg10},
        per_query=per_query,
        measures=measures,
        draws=Draws(record.draws.seeds, drawn(record.draws.ndcg10), further),
        candidate_recall={},
    )


def check(datasets: Mapping[str, Dataset], records: Iterable[Record]) -> None:
    """Refuse data that records were not made from.

    Raises
    ------
    HarnessError
        With the first data set that is another one.
    """
    for record in records:
        found = datasets[record.dataset].sha256
        if record.identity.get("dataset") != found:
            raise HarnessError(
                f"the data set '{record.dataset}' is not the one of its records (sha256 {found[:8]}, expected "
                f"{str(record.identity.get('dataset'))[:8]}): set data_dir or dataset.path to what was measured."
            )
