"""Paired tests over queries: against scipy, and on cases with known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from harness.evaluation.significance import compare, compare_all, holm


def test_delta_is_the_mean_of_means(rng):
    sets = {"a": rng.normal(size=5), "b": rng.normal(size=50)}
    found = compare(sets)
    assert found.delta == pytest.approx((sets["a"].mean() + sets["b"].mean()) / 2)
    assert found.n_queries == 55 and found.ci_low < found.delta < found.ci_high


def test_p_is_that_of_all_sign_flips(rng):
    values = rng.normal(0.3, 1, 10)
    flips = [np.mean(values * signs) for signs in itertools.product((-1, 1), repeat=10)]
    exact = np.mean(np.abs(flips) >= abs(values.mean()) - 1e-12)
    assert compare({"a": values}, 40_000).p == pytest.approx(exact, abs=0.01)


def test_p_and_interval_agree_with_scipy(rng):
    values = rng.normal(0.15, 1, 200)
    found = compare({"a": values}, 20_000)
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1)
    interval = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert found.p == pytest.approx(theirs.pvalue, abs=0.01)
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high), abs=0.01)


def test_p_is_close_to_the_paired_t_test(rng):
    """On well-behaved data: many queries, normal differences."""
    for shift in (0.0, 0.1, 0.2):
        first, second = rng.normal(shift, 1, 400), rng.normal(0, 1, 400)
        assert compare({"a": first - second}).p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)


def test_many_at_once_are_each_by_itself(rng):
    sets = {"a": rng.normal(0.1, 1, (40, 3)), "b": rng.normal(0, 1, (7, 3))}
    for i, found in enumerate(compare_all(sets, 1500)):
        alone = compare({name: values[:, i] for name, values in sets.items()}, 1500)
        assert (found.p, found.n_queries) == (alone.p, 47)
        assert (found.delta, found.ci_low, found.ci_high) == pytest.approx((alone.delta, alone.ci_low, alone.ci_high))


def test_a_small_set_weighs_as_much_as_a_large_one(rng):
    sets = {"large": np.full(1000, 0.5), "small": np.full(4, -0.5)}
    found = compare(sets)
    assert found.delta == 0 and found.p == 1.0


def test_no_difference_is_no_difference():
    found = compare({"a": np.zeros(30), "b": np.zeros(3)})
    assert (found.delta, found.ci_low, found.ci_high, found.p) == (0, 0, 0, 1)


def test_the_smallest_p_is_that_of_the_resamples():
    assert compare({"a": np.full(200, 0.1)}, 999).p == pytest.approx(1 / 1000)


def test_the_same_seed_gives_the_same(rng):
    values = {"a": rng.normal(size=40)}
    assert compare(values) == compare(values) != compare(values, seed=1)


def test_the_rate_of_false_alarms_is_the_level(rng):
    alarms = [compare({"a": rng.normal(size=25), "b": rng.normal(size=25)}, 200).p < 0.1 for _ in range(400)]
    assert 0.06 < np.mean(alarms) < 0.14


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holm(p, corrected):
    assert holm(p) == pytest.approx(corrected)
