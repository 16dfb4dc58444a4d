"""Paired tests over queries: against scipy, and on cases with known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from harness.evaluation.significance import compare, compare_all, deviations, holm, lower_bounds


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


def crossed(rng, queries, draws, of_query, of_draw, of_pair):
    """Data set -> (seeds, differences [draws, queries]), of true mean 0; a draw has one effect on all sets."""
    shared = rng.normal(0, of_draw, draws)
    seeds = tuple(range(draws))
    found = {}
    for name, count in queries.items():
        own = shared + rng.normal(0, of_draw / 2, draws)
        values = own[:, None] + rng.exponential(of_query, count) - of_query
        found[name] = seeds, values + rng.normal(0, of_pair, (draws, count))
    return found


COMPONENTS = [(0.25, 0.015, 0.25), (0.1, 0.02, 0.2), (0.3, 0.0, 0.3), (0.05, 0.0, 0.3), (0.02, 0.03, 0.1)]


@pytest.mark.parametrize("draws", [5, 10])
@pytest.mark.parametrize(("of_query", "of_draw", "of_pair"), COMPONENTS)
def test_intervals_over_queries_and_draws_cover_what_they_say(draws, of_query, of_draw, of_pair):
    rng = np.random.default_rng(draws)
    covered, significant, alone, repetitions = 0, 0, 0, 250
    for turn in range(repetitions):
        found = crossed(rng, {"a": 50, "b": 200}, draws, of_query, of_draw, of_pair)
        means = {name: values.mean(axis=0) for name, (_, values) in found.items()}
        test = compare(means, 400, turn, deviations(found))
        covered += test.ci_low <= 0 <= test.ci_high
        significant += test.p < 0.05
        of_queries_alone = compare(means, 400, turn)
        alone += of_queries_alone.ci_low <= 0 <= of_queries_alone.ci_high
    # 95 %, give or take three standard errors of 250 repetitions (and the skew of few queries)
    assert 0.91 <= covered / repetitions <= 0.99
    assert 0.01 <= significant / repetitions <= 0.09
    if of_draw == 0.03:  # where most of the variance is the draws', queries alone give far too short intervals
        assert alone / repetitions < 0.5


def test_what_is_detectable_is_found_four_times_of_five():
    rng = np.random.default_rng(1)
    tests = [compare({"a": rng.normal(0, 0.2, 100), "b": rng.normal(0, 0.1, 60)}, 400, seed) for seed in range(300)]
    effect = float(np.mean([test.detectable for test in tests]))
    assert effect == pytest.approx(2.8 * np.sqrt(0.2**2 / 100 + 0.1**2 / 60) / 2, rel=0.03)
    sets = [{"a": rng.normal(effect, 0.2, 100), "b": rng.normal(effect, 0.1, 60)} for _ in range(400)]
    found = [compare(values, 400, seed).p < 0.05 for seed, values in enumerate(sets)]
    assert 0.74 <= np.mean(found) <= 0.86


def test_draws_make_a_difference_harder_to_detect(rng):
    found = crossed(rng, {"a": 80}, 5, 0.1, 0.05, 0.1)
    means = {"a": found["a"][1].mean(axis=0)}
    assert compare(means, 100, 0, deviations(found)).detectable > 2 * compare(means, 100).detectable


def test_one_draw_has_no_deviation_and_two_groups_have_two(rng):
    one = {"a": ((42,), rng.random((1, 9)))}
    assert deviations(one) == []
    first, second = rng.random((3, 9)), rng.random((4, 7))
    both = deviations({"a": ((1, 2, 3), first), "b": ((1, 2, 3, 4), second), "c": ((9,), rng.random((1, 5)))})
    assert [found.freedom for found in both] == [2, 3]
    alone = deviations({"a": ((1, 2, 3), first)})[0]
    assert both[0].scale == pytest.approx(alone.scale / 3)  # a third of the mean over data sets


def test_a_deviation_is_that_of_the_analysis_of_variance(rng):
    """The slow, obvious way: expected mean squares of a two-way layout with one value for each pair."""
    values = rng.normal(0, 0.1, (6, 1)) + rng.normal(0, 0.2, 40) + rng.normal(0, 0.1, (6, 40))
    grand = np.mean([np.mean(row) for row in values])
    between = sum((np.mean(row) - grand) ** 2 for row in values) * 40 / 5
    within = sum(
        (values[i, j] - np.mean(values[i]) - np.mean(values[:, j]) + grand) ** 2 for i in range(6) for j in range(40)
    ) / (5 * 39)
    expected = np.sqrt((between - within) / 40 / 6)  # variance of draws by themselves, divided by their number
    (found,) = deviations({"a": (tuple(range(6)), values)})
    assert found.scale == pytest.approx(expected) and found.freedom == 5


def test_one_query_says_nothing_of_the_spread():
    one = compare({"a": np.array([0.3]), "b": np.array([0.1, 0.2, 0.4])})
    assert one.p > 0.05 and np.isnan([one.ci_low, one.ci_high, one.detectable]).all()
    assert lower_bounds({"a": np.array([[0.3, 0.2]])}, [[], []]).tolist() == [-np.inf, -np.inf]
