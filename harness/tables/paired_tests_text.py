"""Comparisons as a reader sees them: marks behind the differences to PLAID, and two tables below the main one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.tables import Marks, Section
from harness.tables.paired_tests import LEVEL, Tested, resamples
from harness.tables.titles import MISSING, center_label, method_title, scope, title

MARK = "*"


def marks(tested: Sequence[Tested]) -> Marks:
    """What stands behind each difference to PLAID."""
    return {one.key: _mark(one) for one in tested}


def remark(tested: Sequence[Tested], datasets: Sequence[str]) -> str:
    """What the marks mean: test, level, correction and how many differences it is over."""
    if not tested:
        return "No difference to PLAID was tested: no row has a data set on which PLAID was measured."
    return (
        f"Marked {MARK}: differs from PLAID, p < {LEVEL} in {_test(tested)} differences to PLAID."
        f"{_fewer(tested, datasets)}"
    )


def sections(plaid: Sequence[Tested], methods: Sequence[Tested], datasets: Sequence[str]) -> list[Section]:
    """Queries won, tied and lost against PLAID; and the methods of each (model, centering) against each other."""
    return [*([_against_plaid(plaid, datasets)] if plaid else []), *([_methods(methods, datasets)] if methods else [])]


def _against_plaid(tested: Sequence[Tested], datasets: Sequence[str]) -> Section:
    lines: dict[object, dict[str, str]] = {}
    whole = []
    for one in tested:
        if not one.pair.depth:
            label = _label(one, datasets)
            whole.append(f"{label['Method']}, {label['Model']}: {_counts(one)}.")
            continue
        line = lines.setdefault(one.pair.row, {**_label(one, datasets), "Queries": f"{one.difference.n_queries}"})
        line[f"rk={one.pair.depth}"] = _counts(one)
    depths = sorted({int(one.pair.depth) for one in tested if one.pair.depth})
    names = ["Model", "Center", "Method", "Queries", *(f"rk={depth}" for depth in depths)]
    table = pd.DataFrame(list(lines.values()), columns=names).fillna(MISSING)
    return Section("Against PLAID: queries won / tied / lost.", table, [*whole, "Tied: NDCG@10 equal up to 1e-9."])


def _methods(tested: Sequence[Tested], datasets: Sequence[str]) -> Section:
    lines = [
        {
            **_label(one, datasets),
            "Against": method_title(one.pair.other.method),
            "rk": one.pair.depth,
            "Difference": _points(one.difference.delta) + _mark(one),
            "95 % interval": f"{_points(one.difference.ci_low)} to {_points(one.difference.ci_high)}",
            "p": f"{one.p:.4f}",
            "Won / tied / lost": _counts(one),
        }
        for one in tested
    ]
    said = (
        f"Marked {MARK}: p < {LEVEL} in {_test(tested)} differences between methods. Intervals: percentile bootstrap "
        f"over queries within each data set, each by itself, not corrected.{_fewer(tested, datasets)}"
    )
    return Section("Methods against each other, at the same centering and depth.", pd.DataFrame(lines), [said])


def _test(tested: Sequence[Tested]) -> str:
    return (
        "a two-sided randomization test, paired over queries and stratified by data set "
        f"({resamples(len(tested)):,} resamples), with Holm's correction over the {len(tested)}"
    )


def _label(one: Tested, datasets: Sequence[str]) -> dict[str, str]:
    row = one.pair.row
    model = title(row.model) + scope(len(one.datasets), datasets)
    return {"Model": model, "Center": center_label(row.center), "Method": method_title(row.method)}


def _fewer(tested: Sequence[Tested], datasets: Sequence[str]) -> str:
    """A sentence on comparisons over fewer data sets, if there are any."""
    count = sum(len(one.datasets) < len(datasets) for one in tested)
    return f" {count} of them are over the data sets that both sides have, not all {len(datasets)}." if count else ""


def _mark(one: Tested) -> str:
    return MARK if one.differs else ""


def _counts(one: Tested) -> str:
    return f"{one.wins} / {one.ties} / {one.losses}"


def _points(value: float) -> str:
    """Two decimals and a sign; +0.00 for what rounds to nothing."""
    return f"{round(value, 2) + 0.0:+.2f}"
