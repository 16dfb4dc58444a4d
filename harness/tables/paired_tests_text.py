"""Paired tests as text: marks of significance in the main table, and two tables below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from harness.config.measures import NDCG10, Measure
from harness.evaluation.significance import LEVEL, POWER
from harness.tables.formats import MISSING, decimals, interval, scope, signed
from harness.tables.layouts import Marks, Section
from harness.tables.paired_tests import Tested, resamples
from harness.tables.titles import center_label, method_title, title

MARK, SMALLER = "*", " ?"
LABELS = ("Model", "Center", "Method")


def marks(tested: Sequence[Tested]) -> Marks:
    """The significance mark for each difference to PLAID."""
    return {test.key: _mark(test) for test in tested}


def remark(tested: Sequence[Tested], datasets: Sequence[str]) -> str:
    """The meaning of the marks: test, level, correction and number of differences."""
    if not tested:
        return "No difference to PLAID was tested: no row has a data set on which PLAID was measured."
    return (
        f"Marked {MARK}: differs from PLAID, p < {LEVEL} in {_described(tested)} differences to PLAID."
        f"{_lacking(tested, datasets)}"
    )


def sections(
    plaid: Sequence[Tested], methods: Sequence[Tested], datasets: Sequence[str], measure: Measure = NDCG10
) -> list[Section]:
    """Queries won, tied and lost against PLAID, and the methods of each (model, centering) against each other."""
    return [
        *([_against_plaid(plaid, datasets, measure), _detectable(plaid, datasets)] if plaid else []),
        *([_methods(methods, datasets)] if methods else []),
    ]


def _against_plaid(tested: Sequence[Tested], datasets: Sequence[str], measure: Measure) -> Section:
    end_to_end = []
    for test in tested:
        if not test.pair.depth:
            label = _label(test, datasets)
            end_to_end.append(f"{label['Method']}, {label['Model']}: {_counts(test)}.")

    def first(test: Tested) -> dict[str, str]:
        return {**_label(test, datasets), "Queries": f"{test.difference.n_queries}"}

    table = _by_depth(tested, [*LABELS, "Queries"], first, _counts)
    tied = f"Tied: {measure.title} equal up to 1e-9."
    return Section("Against PLAID: queries won / tied / lost.", table, [*end_to_end, tied])


def _detectable(tested: Sequence[Tested], datasets: Sequence[str]) -> Section:
    def detectable(test: Tested) -> str:
        return decimals(test.difference.detectable, 2) + ("" if test.differs else SMALLER)

    table = _by_depth(tested, LABELS, lambda test: _label(test, datasets), detectable)
    explained = (
        f"The least true difference that gives p < {LEVEL} in {POWER:.0%} of repetitions, before the correction, from "
        f"the variance that was found. {SMALLER.strip()}: no difference was found, and a smaller one may well exist."
    )
    return Section("Against PLAID: detectable difference, points.", table, [explained])


def _by_depth(
    tested: Sequence[Tested],
    names: Sequence[str],
    first: Callable[[Tested], dict[str, str]],
    value: Callable[[Tested], str],
) -> pd.DataFrame:
    """A line for each row with rerank depths: its first columns, which have these names, and a value for each depth."""
    lines: dict[object, dict[str, str]] = {}
    with_depth = [test for test in tested if test.pair.depth]
    for test in with_depth:
        lines.setdefault(test.pair.row, first(test))[f"rk={test.pair.depth}"] = value(test)
    depths = sorted({int(test.pair.depth) for test in with_depth})
    columns = [*names, *(f"rk={depth}" for depth in depths)]
    return pd.DataFrame(list(lines.values()), columns=columns).fillna(MISSING)


def _methods(tested: Sequence[Tested], datasets: Sequence[str]) -> Section:
    lines = [
        {
            **_label(test, datasets),
            "Against": method_title(test.pair.other.method),
            "rk": test.pair.depth,
            "Difference": signed(test.difference.delta, 2) + _mark(test),
            "95 % interval": interval(test.difference.ci_low, test.difference.ci_high),
            "p": f"{test.p:.4f}",
            "Detectable": decimals(test.difference.detectable, 2),
            "Won / tied / lost": _counts(test),
        }
        for test in tested
    ]
    explained = (
        f"Marked {MARK}: p < {LEVEL} in {_described(tested)} differences between methods. Intervals: percentile "
        "bootstrap over queries within each data set, and Student's t over draws where there are several, each by "
        f"itself, not corrected. Detectable: the least difference that is found with {POWER:.0%} power, before the "
        f"correction.{_lacking(tested, datasets)}"
    )
    return Section("Methods against each other, at the same centering and depth.", pd.DataFrame(lines), [explained])


def _described(tested: Sequence[Tested]) -> str:
    return (
        "a two-sided randomization test, paired over queries (and draws) and stratified by data set "
        f"({resamples(len(tested)):,} resamples), with Holm's correction over the {len(tested)}"
    )


def _label(test: Tested, datasets: Sequence[str]) -> dict[str, str]:
    row = test.pair.row
    model = title(row.model) + scope(len(test.datasets), datasets)
    return {"Model": model, "Center": center_label(row.center), "Method": method_title(row.method)}


def _lacking(tested: Sequence[Tested], datasets: Sequence[str]) -> str:
    """A sentence on the tests that lack a data set, if there are any."""
    count = sum(len(test.datasets) < len(datasets) for test in tested)
    return f" {count} of them are over the data sets that both sides have, not all {len(datasets)}." if count else ""


def _mark(test: Tested) -> str:
    return MARK if test.differs else ""


def _counts(test: Tested) -> str:
    return f"{test.wins} / {test.ties} / {test.losses}"
