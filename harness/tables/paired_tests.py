"""Paired tests of the differences of a table: each row against PLAID, and methods against each other.

There are two families of tests, each with its own Holm correction:

    to PLAID    every difference in brackets
    methods     for each (model, centering), every pair of methods at the same rerank depth

A test is paired by query id, over the data sets on which both sides were measured. There is no test if a side was
measured on such a data set, but not at the depth: the table has no mean there either. The tests themselves, and their
sources, are in `harness.evaluation.significance`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from harness.evaluation.significance import LEVEL, Comparison, compare_all, holm
from harness.methods.registry import base_name, end_to_end
from harness.records import FINAL, Record
from harness.system.threads import chunks
from harness.tables.differences import Difference, Differences, deviations_of
from harness.tables.rows import PLAID, Row, by_row, plaid_of
from harness.tables.table import KEY, MEAN, depths_of

TIE = 1e-9  # difference in NDCG@10 (0 to 1) up to which two queries count as tied
RESAMPLES = 10_000
_AT_ONCE = 64  # pairs that share their resamples; a resample takes 16 bytes for each pair
COUNTS = ["wins", "ties", "losses", "n_queries"]
TESTED = ["versus", "p", "ci_low", "ci_high", *COUNTS, "detectable"]


@dataclass(frozen=True)
class Pair:
    """Two rows that are compared at one rerank depth, as in the long form ("" if `row` has no depths)."""

    row: Row
    other: Row
    depth: str


@dataclass(frozen=True)
class Tested:
    """The result of a pair's test.

    Attributes
    ----------
    datasets : those on which both rows were measured
    difference : row minus other, in percentage points; its p is not corrected
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
        return self.pair.row.model, self.pair.row.center, self.pair.row.method, self.pair.depth

    @property
    def differs(self) -> bool:
        """Whether p is below the level."""
        return self.p < LEVEL


def to_plaid(rows: Sequence[Row], depths: Sequence[int]) -> list[Pair]:
    """Every row at every depth, against PLAID."""
    return [
        Pair(row, plaid_of(row, rows), depth) for row in rows if row.method != PLAID for depth in depths_of(row, depths)
    ]


def between_methods(rows: Sequence[Row], depths: Sequence[int]) -> list[Pair]:
    """Every two first stages of a (model, centering), at each rerank depth.

    A method takes part with its shipped options, and with its variants only if it was not measured with the shipped
    ones. A grid of variants, all against all, would make thousands of tests, and none would survive the correction.
    """
    shipped = {(row.model, row.center, row.method) for row in rows}
    stages = [
        row
        for row in rows
        if not end_to_end(row.method)
        and ("+" not in row.method or (row.model, row.center, base_name(row.method)) not in shipped)
    ]
    return [
        Pair(first, second, str(depth))
        for first, second in combinations(stages, 2)
        if (first.model, first.center) == (second.model, second.center)
        for depth in depths
    ]


def tested(pairs: Sequence[Pair], records: Iterable[Record], datasets: Sequence[str]) -> list[Tested]:
    """Test the pairs that were both measured on at least one data set, and correct their p values as one family.

    Raises
    ------
    HarnessError
        If two records of a data set have different queries.
    """
    found = by_row(records)
    measured = [(pair, sets) for pair in pairs if (sets := _differences(pair, found, datasets))]
    tests = _tests([sets for _, sets in measured])
    return [
        Tested(pair, tuple(sets), test, p, *_wins_ties_losses(sets))
        for (pair, sets), test, p in zip(measured, tests, holm([test.p for test in tests]), strict=True)
    ]


def _differences(pair: Pair, found: dict[tuple[Row, str], Record], datasets: Sequence[str]) -> Differences:
    """The differences on each data set with both records; empty if a depth was not measured."""
    differences: Differences = {}
    for name in datasets:
        first, second = found.get((pair.row, name)), found.get((pair.other, name))
        if first and second:
            depths = [FINAL if end_to_end(record.method) else pair.depth for record in (first, second)]
            if depths[0] not in first.ndcg10 or depths[1] not in second.ndcg10:
                return {}
            differences[name] = Difference.of(first, depths[0], second, depths[1])
    return differences


def _tests(differences: Sequence[Differences]) -> list[Comparison]:
    """The test of each pair, in percentage points; pairs on the same data sets share their resamples."""
    groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for i, sets in enumerate(differences):
        groups.setdefault(tuple((name, len(one.mean)) for name, one in sets.items()), []).append(i)
    tests: dict[int, Comparison] = {}
    for sizes, indices in groups.items():
        for chunk in chunks(len(indices), _AT_ONCE):
            members = [indices[i] for i in chunk]
            columns = {name: 100 * np.stack([differences[i][name].mean for i in members], axis=1) for name, _ in sizes}
            moved_by = [deviations_of(differences[i]) for i in members]
            found = compare_all(columns, resamples(len(differences)), moved_by=moved_by)
            tests |= dict(zip(members, found, strict=True))
    return [tests[i] for i in range(len(differences))]


def resamples(family: int) -> int:
    """Enough resamples that the smallest p, 1 / (resamples + 1), stays below the level after the correction."""
    return max(RESAMPLES, 100 * family)


def _wins_ties_losses(differences: Differences) -> tuple[int, int, int]:
    """The numbers of queries above, equal to and below 0."""
    values = np.concatenate([difference.mean for difference in differences.values()])
    wins, losses = int((values > TIE).sum()), int((values < -TIE).sum())
    return wins, len(values) - wins - losses, losses


def columns(
    table: pd.DataFrame, records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str], depths: Sequence[int]
) -> pd.DataFrame:
    """The long form with the test of each difference to PLAID, followed by a line for each pair of methods.

    Each data set has its own families of tests, and so have the means; the mean of a pair that lacks a data set is left
    empty. ``versus`` names the other method of ``delta``, of ``p`` (corrected), of the 95 % interval ``ci_low`` to
    ``ci_high`` (percentage points), of the counts of queries, and of ``detectable``: the least difference (percentage
    points) that the test finds with 80 % power, before the correction.
    """

    def lines(pairs: Sequence[Pair]) -> pd.DataFrame:
        values = [
            [*test.key, name, test.difference.delta, *_values(test)]
            for name, members in [*((name, [name]) for name in datasets), (MEAN, datasets)]
            for test in tested(pairs, records, members)
            if len(test.datasets) == len(members)
        ]
        return pd.DataFrame(values, columns=[*KEY, "dataset", "delta", *TESTED])

    place = [*KEY, "dataset"]
    with_plaid = table.merge(lines(to_plaid(rows, depths)).drop(columns="delta"), how="left", on=place)
    with_others = table[[*place, "ndcg10", "sd", "draws"]].merge(lines(between_methods(rows, depths)), on=place)
    combined = pd.concat([with_plaid, with_others], ignore_index=True)
    return combined.astype(dict.fromkeys((*COUNTS, "draws"), "Int64"))


def _values(test: Tested) -> list[object]:
    """The values of the columns `TESTED`."""
    difference = test.difference
    counts = (test.wins, test.ties, test.losses, difference.n_queries)
    tested = (test.p, difference.ci_low, difference.ci_high, *counts, difference.detectable)
    return [test.pair.other.method, *tested]
