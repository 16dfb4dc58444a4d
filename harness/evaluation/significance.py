"""Whether two systems differ: paired tests over the queries of one or several data sets, and over draws.

The tested quantity is the one that tables show: the mean over data sets of the mean over queries, for the difference in
NDCG@10 between two systems on the same queries. Data sets are strata: queries are resampled, and signs are flipped,
within each data set.

    interval     percentile bootstrap over queries (Efron; Sakai, SIGIR 2006)
    p            two-sided randomization test: under the null hypothesis, the difference on each query has either sign
                 with equal probability (Smucker, Allan and Carterette, CIKM 2007)
    Holm         step-down correction of the p values of a family of tests (Holm, 1979)
    together     lower bounds of several differences that hold at once (Beran, JASA 1988)
    detectable   the least true difference that would give p < 0.05 in 80 of 100 repetitions, from the variance that was
                 found (Sakai, Information Retrieval Journal 2016, on the paired t test)

A system may use random numbers. If several draws of them were measured, queries and draws are crossed samples, and both
must be resampled (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007). Five or ten
draws are too few to be drawn from with replacement: their variance would come out too small. So each resample of the
queries (and each flip of signs) is moved by a value of Student's t distribution with one degree of freedom less than
there are draws, times the standard error of the mean over draws. This standard error leaves out the variance of
(query, draw) pairs, which resampling the queries brings in already: the two-way analysis of variance separates them
(Scheffe, The Analysis of Variance, 1959, chapter 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata
from scipy.stats import t as student

from harness.config.seeds import Seeds

LEVEL, POWER = 0.05, 0.8
_AT_ONCE = 1000  # resamples in one matrix product


@dataclass(frozen=True)
class Comparison:
    """A mean difference, its 95 % interval, its p value under no difference, the number of queries, what is detectable.

    All but p and the number of queries have the unit of the differences. The interval and `detectable` are NaN where a
    data set has one query, as nothing is known of the spread over its queries.
    """

    delta: float
    ci_low: float
    ci_high: float
    p: float
    n_queries: int
    detectable: float


@dataclass(frozen=True)
class Deviation:
    """How far a mean over draws may lie from that over all draws that there could be.

    Attributes
    ----------
    scale : standard error, in the unit of the differences
    freedom : degrees of freedom of its t distribution: draws - 1
    """

    scale: float
    freedom: int


Draws = Mapping[str, tuple[Seeds, Float[np.ndarray, "_draws _queries"]]]
"""Data set -> seeds, and for each of them the value of each query."""


def deviations(draws: Draws) -> list[Deviation]:
    """The deviations of the mean over data sets: one for all data sets with the same draws, as draws are crossed there.

    A single draw has no deviation: it stands for itself alone.
    """
    found = []
    for seeds in dict.fromkeys(seeds for seeds, _ in draws.values()):
        count, sets = len(seeds), [values for its, values in draws.values() if its == seeds]
        if count > 1:
            means = np.sum([values.mean(axis=1) for values in sets], axis=0) / len(draws)
            pairs = sum(_variance_of_pairs(values) / values.size for values in sets) / len(draws) ** 2
            found.append(Deviation(float(np.sqrt(max(0.0, means.var(ddof=1) / count - pairs))), count - 1))
    return found


def _variance_of_pairs(values: Float[np.ndarray, "draws queries"]) -> float:
    """Variance of what is neither the draw's nor the query's own, by the two-way analysis of variance."""
    draws, queries = values.shape
    own = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float((own**2).sum() / max(1, (draws - 1) * (queries - 1)))


def compare(
    differences: Mapping[str, Float[np.ndarray, " queries"]],
    resamples: int = 10_000,
    seed: int = 0,
    moved_by: Sequence[Deviation] = (),
) -> Comparison:
    """Compare two systems by the per-query differences on each data set.

    Parameters
    ----------
    moved_by
        The deviations of the systems' draws, whose means the differences are of.

    Notes
    -----
    p is at least 1 / (resamples + 1): the observed signs count as one of the random ones.
    """
    columns = {name: np.asarray(values)[:, None] for name, values in differences.items()}
    return compare_all(columns, resamples, seed, [moved_by])[0]


def compare_all(
    differences: Mapping[str, Float[np.ndarray, "queries pairs"]],
    resamples: int = 10_000,
    seed: int = 0,
    moved_by: Sequence[Sequence[Deviation]] | None = None,
) -> list[Comparison]:
    """Compare several pairs of systems on the same queries; they share the resamples, which are most of the cost."""
    sets = [np.asarray(values, dtype=np.float64) for _, values in sorted(differences.items())]
    delta = np.mean([values.mean(axis=0) for values in sets], axis=0)
    of_pairs = [[]] * len(delta) if moved_by is None else moved_by
    rng = np.random.default_rng(seed)
    drawn, flipped = np.zeros((resamples, len(delta))), np.zeros((resamples, len(delta)))
    for values in sets:
        n = len(values)
        for piece in _pieces(resamples):
            count = piece.stop - piece.start
            drawn[piece] += _times_drawn(rng, count, n) @ values / n / len(sets)
            flipped[piece] += (rng.integers(0, 2, (count, n)) * 2.0 - 1) @ values / n / len(sets)
    for column, moves in enumerate(of_pairs):
        for move in moves:
            drawn[:, column] += move.scale * rng.standard_t(move.freedom, resamples)
            flipped[:, column] += move.scale * rng.standard_t(move.freedom, resamples)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0) if _tell_spread(sets) else np.full((2, len(delta)), np.nan)
    # Rounding must not make a resample that ties with the observed difference look smaller.
    as_large = (np.abs(flipped) >= np.abs(delta) - 1e-12).sum(axis=0)
    p, n_queries = (as_large + 1) / (resamples + 1), sum(map(len, sets))
    return [
        Comparison(
            float(delta[i]), float(low[i]), float(high[i]), float(p[i]), n_queries, _detectable(sets, i, of_pairs[i])
        )
        for i in range(len(delta))
    ]


def lower_bounds(
    differences: Mapping[str, Float[np.ndarray, "queries pairs"]],
    moved_by: Sequence[Sequence[Deviation]],
    resamples: int = 10_000,
    seed: int = 0,
) -> Float[np.ndarray, " pairs"]:
    """Bounds above which the mean differences of all pairs lie together, with 95 % confidence.

    So the bound holds for a pair that was chosen among them, by whatever rule. The bounds are balanced: each pair has
    the same chance that its bound is too high. Each resample's highest rank among those of its pair tells how far in
    the tail the bounds must be (Beran, Balanced simultaneous confidence sets, JASA 1988). A pair with few draws has
    long tails, and they lower only its own bound. Where a data set has one query there is no bound, -inf.
    """
    sets = [np.asarray(values, dtype=np.float64) for _, values in sorted(differences.items())]
    delta = np.mean([values.mean(axis=0) for values in sets], axis=0)
    if not _tell_spread(sets):
        return np.full(len(delta), -np.inf)
    rng = np.random.default_rng(seed)
    drawn = np.zeros((resamples, len(delta)))
    for values in sets:
        for piece in _pieces(resamples):
            drawn[piece] += (
                _times_drawn(rng, piece.stop - piece.start, len(values)) @ values / values.shape[0] / len(sets)
            )
    for column, moves in enumerate(moved_by):
        for move in moves:
            drawn[:, column] += move.scale * rng.standard_t(move.freedom, resamples)
    highest = rankdata(drawn, axis=0).max(axis=1)  # equal resamples share a rank, as all of a pair that never differs
    place = (np.quantile(highest, 1 - LEVEL) - 1) / (resamples - 1)
    bounds: np.ndarray = 2 * delta - np.quantile(drawn, place, axis=0)
    return bounds


def _tell_spread(sets: Sequence[np.ndarray]) -> bool:
    """Whether every data set has several queries."""
    return min(map(len, sets)) > 1


def _detectable(sets: Sequence[np.ndarray], pair: int, moves: Sequence[Deviation]) -> float:
    """The difference that a test at `LEVEL` finds with probability `POWER`.

    The degrees of freedom of a sum of variances are those of Satterthwaite (Biometrics Bulletin, 1946).
    """
    if not _tell_spread(sets):
        return float("nan")
    parts = [(values[:, pair].var(ddof=1) / len(values) / len(sets) ** 2, len(values) - 1) for values in sets]
    parts += [(move.scale**2, move.freedom) for move in moves]
    variance = sum(part for part, _ in parts)
    if not variance:
        return 0.0
    freedom = variance**2 / sum(part**2 / own for part, own in parts)
    return float((student.ppf(1 - LEVEL / 2, freedom) + student.ppf(POWER, freedom)) * np.sqrt(variance))


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
