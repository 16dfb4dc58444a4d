"""Buckets and anchors against loops, and on sets whose occupancy is known."""

from __future__ import annotations

import math
from unittest.mock import Mock

import numpy as np
import pytest
import reference
import torch
from tiny import in_memory, unit

from harness.data.dataset import Dataset
from harness.geometry import occupancy
from harness.geometry.first_stages import FirstStages
from harness.measure import testbed as testbeds
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding
from harness.system.errors import HarnessError
from harness.vectors.store import StoreInMemory

CPU = torch.device("cpu")


def store(texts):
    texts = [np.asarray(text, dtype=np.float32) for text in texts]
    return in_memory(texts)


def muvera(repetitions, bits, dim=8, seed=5):
    return FixedDimensionalEncoding(dim, repetitions, bits, None, seed, CPU)


def planes_of(fde):
    return fde.planes.numpy().reshape(-1, fde.repetitions, fde.bits)


def found_of(fde, tokens, seed=0):
    """Buckets of one text, which is also the sample."""
    return occupancy.buckets(fde, store([tokens]), np.asarray(tokens, np.float32), seed)


def at_angle(angle, dim=8):
    """Two unit vectors."""
    pair = np.zeros((2, dim), dtype=np.float32)
    pair[0, 0], pair[1, 0], pair[1, 1] = 1, math.cos(angle), math.sin(angle)
    return pair


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_bucket_ids_equal_the_reference(rng, bits):
    fde, tokens = muvera(4, bits), np.concatenate([unit(rng, 50, 8), np.zeros((1, 8), np.float32)])
    wanted = [[reference.muvera_bucket(token, planes_of(fde), r) for r in range(4)] for token in tokens]
    assert occupancy.bucket_ids(fde, tokens).tolist() == wanted


@pytest.mark.parametrize("bits", [1, 4])
def test_buckets_equal_the_reference(make_store, ragged, bits):
    fde = muvera(3, bits)
    wanted = reference.muvera_occupancy(ragged, planes_of(fde))
    found = occupancy.buckets(fde, make_store(ragged), np.concatenate(ragged), 0)
    assert found["shares"] == pytest.approx(wanted["shares"], abs=1e-12)
    assert {name: found[name] for name in ("entropy", "empty", "n")} == pytest.approx(
        {name: wanted[name] for name in ("entropy", "empty", "n")}, abs=1e-12
    )
    assert found["max_entropy"] == bits


@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_do_not_matter_to_buckets(make_store, ragged, monkeypatch, chunk):
    fde, made, sampled = muvera(3, 4), make_store(ragged), np.concatenate(ragged)
    whole = occupancy.buckets(fde, made, sampled, 0)
    monkeypatch.setattr(occupancy, "CHUNK", chunk)
    assert occupancy.buckets(fde, made, sampled, 0) == whole


def test_rates_of_pairs_are_those_of_all_pairs(ragged):
    """2^20 random pairs: five standard errors of a rate are 0.0025."""
    fde, tokens = muvera(4, 3), np.concatenate(ragged)[:150]
    found = found_of(fde, tokens)
    collision, agreement = reference.muvera_together(tokens, planes_of(fde))
    assert (found["collision"], found["agreement"]) == pytest.approx((collision, agreement), abs=0.0025)


@pytest.mark.parametrize("degrees", [10, 60, 90, 150])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_two_vectors_collide_by_their_angle(monkeypatch, degrees, bits):
    """A hyperplane separates them with probability t / pi, and repetitions are independent."""
    monkeypatch.setattr(occupancy, "_PAIRS", 16)  # they are all one pair
    found = found_of(muvera(4000, bits), at_angle(math.radians(degrees)))
    rate = (1 - degrees / 180) ** bits
    five_errors = 5 * math.sqrt(rate * (1 - rate) / 4000) + 1 / 4000
    assert found["collision"] == pytest.approx(rate, abs=five_errors)
    assert found["agreement"] == pytest.approx(rate, abs=five_errors)


def test_copies_of_two_vectors_collide_and_agree_as_computed(monkeypatch):
    """Among pairs of 6 tokens, 2/5 are copies; the others share with probability p, and again with p."""
    monkeypatch.setattr(occupancy, "_PAIRS", 1 << 14)
    found = found_of(muvera(1000, 2), np.repeat(at_angle(math.pi / 3), 3, axis=0))
    rate = (2 / 3) ** 2
    assert found["collision"] == pytest.approx(2 / 5 + 3 / 5 * rate, abs=0.04)
    assert found["agreement"] == pytest.approx((2 / 5 + 3 / 5 * rate**2) / (2 / 5 + 3 / 5 * rate), abs=0.04)


def test_isotropic_vectors_agree_hardly_more_than_they_collide_and_a_cone_does_both(rng):
    found = found_of(muvera(20, 3, dim=64), unit(rng, 3000, 64))
    cone = found_of(muvera(20, 3, dim=64), unit(rng, 3000, 64, cone=2))
    assert found["collision"] == pytest.approx(1 / 8, abs=0.01)
    assert found["collision"] < found["agreement"] < found["collision"] + 0.05
    assert cone["collision"] > 0.4 and cone["agreement"] > 0.4 and cone["entropy"] < found["entropy"] - 1


def test_equal_tokens_are_in_one_bucket():
    found = found_of(muvera(6, 3), np.repeat(at_angle(1)[1:], 9, axis=0))
    assert found["shares"] == [1, 0, 0, 0, 0, 0, 0, 0] and found["entropy"] == 0
    assert (found["collision"], found["agreement"], found["empty"]) == (1, 1, 7 / 8)


def test_one_token_in_every_bucket_has_all_bits():
    """One repetition of as many planes as dimensions: a token for every pattern of signs."""
    fde = muvera(1, 3, dim=3)
    signs = np.array([[1 if bucket >> j & 1 else -1 for j in range(3)] for bucket in range(8)])
    found = found_of(fde, signs @ np.linalg.inv(fde.planes.numpy()))
    assert found["shares"] == [1 / 8] * 8 and found["entropy"] == pytest.approx(3)
    assert (found["collision"], found["agreement"], found["empty"]) == (0, None, 0)


def test_opposite_tokens_never_share_a_bucket():
    found = found_of(muvera(6, 2), at_angle(math.pi).round())
    assert (found["collision"], found["agreement"]) == (0, None)


def smve(width=32, keep=3, repetitions=2, anchors="gaussian"):
    return SparseEncoding(8, width, keep, repetitions, anchors, 5, CPU)


def matrix_of(encoding):
    return np.stack([anchors.matrix for anchors in encoding.sets], axis=1)


@pytest.mark.parametrize("repetitions", [1, 2])
def test_anchor_load_equals_the_reference(ragged, repetitions):
    encoding, tokens = smve(50, 3, repetitions), np.concatenate(ragged)[:120]
    found = occupancy.anchor_load(encoding, tokens, 0)
    wanted = reference.smve_load(tokens, matrix_of(encoding), 3)
    for name in ("gini", "unused", "largest"):
        assert found[name] == pytest.approx(wanted[name], abs=1e-12)
    assert found["lorenz"][::100] == [0, 1] and found["n"] == 120
    if repetitions == 2:  # 100 anchors: the 101 points are the whole curve
        assert found["lorenz"] == pytest.approx(wanted["lorenz"], abs=1e-12)


def test_a_lorenz_curve_is_read_between_anchors(ragged):
    encoding, tokens = smve(30, 3, 1), np.concatenate(ragged)[:40]
    wanted = reference.smve_load(tokens, matrix_of(encoding), 3)["lorenz"]
    found = occupancy.anchor_load(encoding, tokens, 0)["lorenz"]
    for point in range(101):
        below, part = divmod(point * 30, 100)
        above = wanted[min(below + 1, 30)]
        assert found[point] == pytest.approx(wanted[below] + part / 100 * (above - wanted[below]), abs=1e-12)


def test_a_lorenz_curve_rises_ever_steeper_from_0_to_1(ragged):
    lorenz = occupancy.anchor_load(smve(), np.concatenate(ragged), 0)["lorenz"]
    assert len(lorenz) == occupancy.LORENZ and (lorenz[0], lorenz[-1]) == (0, 1)
    assert np.diff(lorenz).min() >= 0 and np.diff(lorenz, 2).min() > -1e-12


def test_one_anchor_kept_by_all():
    found = occupancy.anchor_load(smve(32, 1, 1), np.repeat(at_angle(1)[:1], 70, axis=0), 0)
    assert (found["gini"], found["unused"], found["largest"]) == pytest.approx((31 / 32, 31 / 32, 1))
    assert found["lorenz"][:97] == [0] * 97


def test_all_anchors_kept_equally(rng):
    found = occupancy.anchor_load(smve(16, 16, 2), unit(rng, 20, 8), 0)
    assert (found["gini"], found["unused"], found["largest"]) == pytest.approx((0, 0, 1 / 32), abs=1e-12)
    assert found["lorenz"] == pytest.approx(np.linspace(0, 1, 101).tolist())


@pytest.mark.parametrize("tokens", [20, 500])
def test_gini_of_chance_is_that_of_thrown_balls(rng, tokens):
    """3 of 128 anchors for each token, at random; few tokens are far from even, many are near."""
    simulated = [reference.load(np.bincount(rng.integers(0, 128, 3 * tokens), minlength=128).tolist())["gini"]]
    for _ in range(20):
        held = [0] * 128
        for _ in range(3 * tokens):
            held[int(rng.integers(128))] += 1
        simulated.append(reference.load(held)["gini"])
    found = occupancy.anchor_load(smve(128, 3, 1), unit(rng, tokens, 8), 0)["gini_even"]
    assert found == pytest.approx(np.mean(simulated), abs=6 * np.std(simulated))


def test_a_cone_keeps_less_anchors(rng):
    even, cone = (occupancy.anchor_load(smve(256, 4, 1), unit(rng, 2000, 8, cone), 0) for cone in (0, 2))
    assert cone["gini"] > even["gini"] > even["gini_even"] and cone["unused"] > even["unused"]


def test_zero_overlap_equals_sets(rng):
    encoding, queries, documents = smve(40, 2), unit(rng, 30, 8), 2 * unit(rng, 45, 8)
    found = occupancy.zero_overlap(encoding, queries, documents, bins=9)
    kept = [
        [{(r, a) for r in range(2) for a in reference.smve_kept(token, matrix_of(encoding), r, 2)} for token in side]
        for side in (queries, documents)
    ]
    pairs, apart = [0] * 9, [0] * 9
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            place = int((reference.dot(query, document) / 2 + 1) / 2 * 9)
            pairs[place] += 1
            apart[place] += not kept[0][i] & kept[1][j]
    assert found["pairs"] == pairs and found["edges"] == pytest.approx([-1 + 2 * i / 9 for i in range(10)])
    assert found["rate"] == [a / n if n else None for a, n in zip(apart, pairs, strict=True)]
    assert 0 < sum(apart) < sum(pairs)


def test_a_token_overlaps_with_itself_and_not_with_its_opposite(rng):
    """keep is less than half of the width: the largest projections of -x are the smallest of x."""
    tokens, encoding = np.eye(8, dtype=np.float32)[:1], smve(40, 5, 1)
    itself, opposite = (occupancy.zero_overlap(encoding, tokens, sign * tokens, bins=4) for sign in (1, -1))
    assert itself["rate"] == [None, None, None, 0] and itself["pairs"] == [0, 0, 0, 1]
    assert opposite["rate"] == [1, None, None, None] and opposite["pairs"] == [1, 0, 0, 0]


def test_cosines_are_of_random_pairs(rng):
    """Chi-square against the histogram of all pairs, of 25 vectors of any length; five standard deviations."""
    tokens = unit(rng, 25, 8, cone=0.3)
    expected = np.zeros(40)
    for i in range(25):
        for j in range(i):
            expected[int((reference.dot(tokens[i], tokens[j]) + 1) / 2 * 40)] += 1
    found = np.array(occupancy.cosine_histogram(tokens * rng.uniform(0.5, 3, (25, 1)).astype(np.float32), 3, 40))
    expected *= (1 << 20) / expected.sum()
    assert found.sum() == 1 << 20 and not found[expected == 0].any()
    some = expected > 0
    assert ((found - expected)[some] ** 2 / expected[some]).sum() < some.sum() + 5 * math.sqrt(2 * some.sum())


def test_the_mean_of_a_cosine_histogram_is_the_mean_pairwise_cosine(rng):
    tokens = unit(rng, 60, 8, cone=0.5)
    found = np.array(occupancy.cosine_histogram(tokens, 3))
    middles = np.linspace(-1, 1, 101)[:-1] + 0.01
    assert found @ middles / found.sum() == pytest.approx(reference.mean_pairwise_cosine(tokens), abs=3e-3)


def test_a_zero_vector_has_the_cosine_zero():
    found = occupancy.cosine_histogram(np.array([[0, 0], [1, 0]], np.float32), 3, bins=2)
    assert found == [0, 1 << 20]


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_a_pair_is_of_two_different_numbers(count):
    left, right = occupancy.pairs(count, 4)
    assert len(left) == len(right) == 1 << 20 and (left != right).all()
    for side in (left, right):
        assert side.min() == 0 and side.max() == count - 1


def test_all_pairs_are_as_likely():
    left, right = occupancy.pairs(3, 4)
    found = np.bincount(3 * left + right, minlength=9)[[1, 2, 3, 5, 6, 7]] / (1 << 20)
    assert found == pytest.approx(np.full(6, 1 / 6), abs=0.002)


def test_a_sample_is_of_different_tokens_in_their_order(rng):
    texts = [unit(rng, n, 8) for n in (9, 0, 1, 30, 4)]
    tokens = np.concatenate(texts)
    found = occupancy.sample(store(texts), 20, 1)
    rows = [int(np.flatnonzero((tokens == token).all(axis=1))[0]) for token in found]
    assert len(rows) == 20 and rows == sorted(set(rows))
    assert not np.array_equal(found, occupancy.sample(store(texts), 20, 2))


@pytest.mark.parametrize("count", [44, 45, 10**9])
def test_a_larger_sample_is_all_tokens(rng, count):
    texts = [unit(rng, n, 8) for n in (9, 0, 1, 30, 4)]
    np.testing.assert_array_equal(occupancy.sample(store(texts), count, 1), np.concatenate(texts))


def test_every_token_is_as_likely_in_a_sample(rng):
    texts = [unit(rng, n, 2) for n in (3, 1, 6)]
    drawn = [tuple(token) for seed in range(300) for token in occupancy.sample(store(texts), 3, seed).tolist()]
    counts = [drawn.count(tuple(token)) for token in np.concatenate(texts).tolist()]
    assert counts == pytest.approx([90] * 10, abs=40)  # five standard errors


@pytest.mark.parametrize("chunk", [1, 3, 1024])
def test_chunks_and_centering_do_not_matter_to_a_sample(make_store, ragged, monkeypatch, chunk):
    made, mean = make_store(ragged), np.full(8, 0.25, np.float32)
    wanted = occupancy.sample(made, 50, 1)
    monkeypatch.setattr(occupancy, "CHUNK", chunk)
    np.testing.assert_array_equal(occupancy.sample(made, 50, 1), wanted)
    np.testing.assert_array_equal(occupancy.sample(made.map(lambda tokens, _: tokens - mean), 50, 1), wanted - mean)


def test_a_side_of_a_single_token_is_refused(rng):
    """Pairs of tokens are looked at, and there is none."""
    docs = StoreInMemory(unit(rng, 9, 8), np.array([4, 5]))
    queries = StoreInMemory(unit(rng, 2, 8), np.array([1, 1]))
    dataset = Dataset("x", {"b": "", "a": ""}, {"q": "", "r": ""}, {"q": {"a": 1}, "r": {"a": 1}})
    testbed = Mock(spec=testbeds.Testbed, dataset=dataset, docs=docs, queries=queries, self_rows=np.array([-1, -1]))
    assert len(FirstStages(testbed, {"documents": 2, "queries": 2}).queries) == 2
    with pytest.raises(HarnessError, match="2 documents or 1 queries have a single token vector"):
        FirstStages(testbed, {"documents": 2, "queries": 1})
