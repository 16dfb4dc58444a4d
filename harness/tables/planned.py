"""Comparisons that a plan fixes before any of them is measured: one family, and Holm's correction over it alone."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from harness.evaluation.significance import compare, holm
from harness.tables.differences import Differences, deviations_of
from harness.tables.formats import decimals, interval, signed

RESAMPLES = 10_000


def table(comparisons: Mapping[str, Differences]) -> pd.DataFrame:
    """A line for each comparison: points of NDCG@10 x 100 on the mean over data sets, with a test and its interval.

    Parameters
    ----------
    comparisons
        Title -> data set -> the difference of two records.
    """
    found = {
        title: compare(
            {name: 100 * difference.mean for name, difference in sets.items()}, RESAMPLES, moved_by=deviations_of(sets)
        )
        for title, sets in comparisons.items()
    }
    lines = [
        {
            "Comparison": title,
            "Difference": signed(test.delta, 2),
            "95 % interval": interval(test.ci_low, test.ci_high),
            "p": f"{p:.4f}",
            "Detectable": decimals(test.detectable, 2),
        }
        for (title, test), p in zip(found.items(), holm([test.p for test in found.values()]), strict=True)
    ]
    return pd.DataFrame(lines)
