"""Whether two systems differ: paired tests over the queries of one or several data sets.

The tested quantity is the one that tables show: the mean over data sets of the mean over queries, for the difference in
NDCG@10 between two systems on the same queries. Data sets are strata: queries are resampled, and signs are flipped,
within each data set.

    interval   percentile bootstrap over queries (Efron; Sakai, SIGIR 2006)
    p          two-sided randomization test: under the null hypothesis, the difference on each query has either sign
               with equal probability (Smucker, Allan and Carterette, CIKM 2007)
    Holm       step-down correction of the p values of a family of tests (Holm, 1979)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_AT_ONCE = 1000  # resamples in one matrix product


@dataclass(frozen=True)
class Comparison:
    """A mean difference, its 95 % interval, its p value under no difference, and the number of queries."""

    delta: float
    ci_low: float
    ci_high: float
    p: float
    n_queries: int


def compare(
    differences: Mapping[str, Float[np.ndarray, " queries"]], resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """Compare two systems by the per-query differences on each data set.

    Notes
    -----
    p is at least 1 / (resamples + 1): the observed signs count as one of the random ones.
    """
    return compare_all({name: np.asarray(values)[:, None] for name, values in differences.items()}, resamples, seed)[0]


def compare_all(
    differences: Mapping[str, Float[np.ndarray, "queries pairs"]], resamples: int = 10_000, seed: int = 0
) -> list[Comparison]:
    """Compare several pairs of systems on the same queries; they share the resamples, which are most of the cost."""
    sets = [np.asarray(values, dtype=np.float64) for _, values in sorted(differences.items())]
    delta = np.mean([values.mean(axis=0) for values in sets], axis=0)
    rng = np.random.default_rng(seed)
    drawn, flipped = np.zeros((resamples, len(delta))), np.zeros((resamples, len(delta)))
    for values in sets:
        n = len(values)
        for piece in _pieces(resamples):
            count = piece.stop - piece.start
            drawn[piece] += _times_drawn(rng, count, n) @ values / n / len(sets)
            flipped[piece] += (rng.integers(0, 2, (count, n)) * 2.0 - 1) @ values / n / len(sets)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    # Rounding must not make a resample that ties with the observed difference look smaller.
    as_large = (np.abs(flipped) >= np.abs(delta) - 1e-12).sum(axis=0)
    p, n_queries = (as_large + 1) / (resamples + 1), sum(map(len, sets))
    return [
        Comparison(float(delta[i]), float(low[i]), float(high[i]), float(p[i]), n_queries) for i in range(len(delta))
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p values in the order given, each to be compared with the level of the whole family."""
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _times_drawn(rng: np.random.Generator, count: int, n: int) -> Float[np.ndarray, "count n"]:
    """How often each of n queries occurs in each of `count` samples of n queries, drawn with replacement."""
    places = rng.integers(0, n, (count, n)) + np.arange(count)[:, None] * n
    return np.bincount(places.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def _pieces(resamples: int) -> Iterator[slice]:
    for start in range(0, resamples, _AT_ONCE):
        yield slice(start, min(start + _AT_ONCE, resamples))
