"""Whether the differences of a table are more than chance: each row against PLAID, and methods with each other.

Two families of tests, each with Holm's correction of its own:

    to PLAID    every difference in brackets
    methods     for each (model, centering), every pair of methods at the same rerank depth

A comparison is paired by query id, over the data sets that both have. Where one of them was measured there, but not at
the depth, there is none, as the table has no mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from harness.evaluation.significance import Comparison, compare_all, holm
from harness.methods.registry import end_to_end
from harness.records import FINAL, Record
from harness.system.errors import HarnessError
from harness.system.threads import chunks
from harness.tables import KEY, MEAN, Row
from harness.tables.per_query import scores
from harness.tables.titles import center_label

LEVEL = 0.05
TIE = 1e-9  # NDCG@10, 0 to 1
RESAMPLES = 10_000
_AT_ONCE = 64  # pairs that share their resamples, which take 16 bytes for each pair
TESTED = ["versus", "p", "ci_low", "ci_high", "wins", "ties", "losses", "n_queries"]
COUNTS = TESTED[-4:]


@dataclass(frozen=True)
class Pair:
    """A row and what it is compared with, at one rerank depth ("": neither has one)."""

    row: Row
    other: Row
    depth: str


@dataclass(frozen=True)
class Tested:
    """What the test of a pair gave.

    Attributes
    ----------
    datasets : those that both have
    difference : row minus other, percent points; its p is not corrected
    p : corrected for the family
    wins, ties, losses : queries on which the row is above, equal to and below the other
    """

    pair: Pair
    datasets: tuple[str, ...]
    difference: Comparison
    p: float
    wins: int
    ties: int
    losses: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Model, center, method and depth, as in the table's long form."""
        return self.pair.row.model, center_label(self.pair.row.center), self.pair.row.method, self.pair.depth

    @property
    def differs(self) -> bool:
        """Whether p is below the level."""
        return self.p < LEVEL


def to_plaid(rows: Sequence[Row], depths: Sequence[int]) -> list[Pair]:
    """Every row at every depth, with PLAID."""
    return [
        Pair(row, Row(row.model, "none", "plaid"), depth)
        for row in rows
        if row.method != "plaid"
        for depth in ([""] if end_to_end(row.method) else list(map(str, depths)))
    ]


def between_methods(rows: Sequence[Row], depths: Sequence[int]) -> list[Pair]:
    """Every two methods of a (model, centering) that have rerank depths, at each of them.

    A method stands with its shipped options; with its variants only where these are all that there is of it. All
    variants of a grid against all others would be thousands of tests, of which the correction leaves nothing.
    """
    shipped = {(row.model, row.center, row.method) for row in rows}
    stages = [
        row
        for row in rows
        if not end_to_end(row.method)
        and ("+" not in row.method or (row.model, row.center, row.method.split("+")[0]) not in shipped)
    ]
    return [
        Pair(first, second, str(depth))
        for first, second in combinations(stages, 2)
        if (first.model, first.center) == (second.model, second.center)
        for depth in depths
    ]


def tested(pairs: Sequence[Pair], records: Iterable[Record], datasets: Sequence[str]) -> list[Tested]:
    """Test the pairs that were measured on a data set at least, and correct their p values together.

    Raises
    ------
    HarnessError
        If two records of a data set are of different queries.
    """
    found = {(Row(r.model, r.center, r.method), r.dataset): r for r in records}
    measured = [(pair, differences) for pair in pairs if (differences := _differences(pair, found, datasets))]
    tests = _compared([differences for _, differences in measured])
    return [
        Tested(pair, tuple(differences), test, p, *_counted(differences))
        for (pair, differences), test, p in zip(measured, tests, holm([test.p for test in tests]), strict=True)
    ]


def _differences(pair: Pair, found: dict[tuple[Row, str], Record], datasets: Sequence[str]) -> dict[str, np.ndarray]:
    """Data set -> float64 [queries]: differences in NDCG@10, 0 to 1; empty where nothing can be compared."""
    differences = {}
    for name in datasets:
        first, second = found.get((pair.row, name)), found.get((pair.other, name))
        if first and second:
            depths = [FINAL if end_to_end(record.method) else pair.depth for record in (first, second)]
            if depths[0] not in first.ndcg10 or depths[1] not in second.ndcg10:
                return {}
            differences[name] = _paired(first, depths[0], second, depths[1])
    return differences


def _paired(first: Record, depth: str, second: Record, other_depth: str) -> np.ndarray:
    """First minus second on each query, in an order of ids that no record decides."""
    left, right = scores(first, depth), scores(second, other_depth)
    if left.keys() != right.keys():
        raise HarnessError(
            f"the records of model '{first.model}' on '{first.dataset}' are of different queries: {first.method} "
            f"(center {first.center}) has {len(left)}, {second.method} (center {second.center}) has {len(right)}, and "
            f"{len(left.keys() & right.keys())} are in both, expected the same in both: measure both again with "
            "overwrite=true."
        )
    return np.array([left[query] - right[query] for query in sorted(left)])


def _compared(differences: Sequence[dict[str, np.ndarray]]) -> list[Comparison]:
    """Each one's test, in percent points; those on the same data sets share their resamples."""
    alike: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for i, sets in enumerate(differences):
        alike.setdefault(tuple((name, len(values)) for name, values in sets.items()), []).append(i)
    tests: dict[int, Comparison] = {}
    for sizes, every in alike.items():
        for some in chunks(len(every), _AT_ONCE):
            members = [every[i] for i in some]
            columns = {name: 100 * np.stack([differences[i][name] for i in members], axis=1) for name, _ in sizes}
            tests |= dict(zip(members, compare_all(columns, resamples(len(differences))), strict=True))
    return [tests[i] for i in range(len(differences))]


def resamples(family: int) -> int:
    """So many that the smallest p, 1 / (resamples + 1), stays below the level when it is multiplied by the family."""
    return max(RESAMPLES, 100 * family)


def _counted(differences: dict[str, np.ndarray]) -> tuple[int, int, int]:
    values = np.concatenate(list(differences.values()))
    wins, losses = int((values > TIE).sum()), int((values < -TIE).sum())
    return wins, len(values) - wins - losses, losses


def columns(
    table: pd.DataFrame, records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> pd.DataFrame:
    """The long form with what each difference to PLAID was tested to be, and behind it a line for each pair of methods.

    Each data set has families of its own, and so have the means; those over fewer sets are left empty. `versus` is what
    `delta`, `p` (corrected), the ends of the 95 % interval (percent points) and the counts of queries are against.
    """

    def lines(pairs: Sequence[Pair]) -> pd.DataFrame:
        found = [
            [*one.key, scope, one.difference.delta, *_values(one)]
            for scope, sets in [*((name, [name]) for name in datasets), (MEAN, datasets)]
            for one in tested(pairs, records, sets)
            if len(one.datasets) == len(sets)
        ]
        return pd.DataFrame(found, columns=[*KEY, "dataset", "delta", *TESTED])

    place = [*KEY, "dataset"]
    with_plaid = table.merge(lines(to_plaid(rows, depths)).drop(columns="delta"), how="left", on=place)
    with_others = table[[*place, "ndcg10"]].merge(lines(between_methods(rows, depths)), on=place)
    together = pd.concat([with_plaid, with_others], ignore_index=True)
    return together.astype(dict.fromkeys(COUNTS, "Int64"))


def _values(one: Tested) -> list[object]:
    """The columns `TESTED`."""
    test = one.difference
    counts = (one.wins, one.ties, one.losses, test.n_queries)
    return [one.pair.other.method, one.p, test.ci_low, test.ci_high, *counts]
