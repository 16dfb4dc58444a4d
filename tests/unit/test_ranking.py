"""Order, ties, self matches, depths."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch

from harness.ranking import products
from harness.ranking.ranks import Ranking, drop_self_matches, reorder
from harness.ranking.topk import RunningTopK, pack_keys, unpack_keys


def test_keys_keep_scores_and_order():
    scores = torch.tensor([[3.5, -2.0, 0.0, -0.0, 1e-40, -1e-40, 3.5, -torch.inf]])
    rows = torch.arange(8)
    keys = pack_keys(scores, rows)
    found_rows, found = unpack_keys(keys)
    assert found_rows.tolist() == [[0, 1, 2, 3, 4, 5, 6, -1]] and torch.equal(found, scores)
    order = [int(unpack_keys(key.reshape(1, 1))[0]) for key in keys[0].sort(descending=True).values]
    assert order == [0, 6, 4, 2, 3, 5, 1, -1]  # 3.5 twice: lower row first; 0.0 and -0.0 are one score


@pytest.mark.parametrize("block", [1, 7, 5000])
@pytest.mark.parametrize("k", [1, 40, 3000])
def test_running_top_k_is_the_sorted_head_with_many_ties(rng, block, k):
    scores = np.round(rng.standard_normal((4, 3000)), 1).astype(np.float32)
    if block == 1:
        scores = scores[:, :300]
    scores[2, 5:] = -np.inf  # few candidates
    k = min(k, scores.shape[1])
    wanted = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    sorted_scores = np.take_along_axis(scores, wanted, axis=1)
    best = RunningTopK(4, k)
    for start in rng.permutation(np.arange(0, scores.shape[1], block)):  # blocks may arrive in any order
        best.add(int(start), scores[:, start : start + block].copy())
    found = best.ranking()
    np.testing.assert_array_equal(found.rows, np.where(sorted_scores == -np.inf, -1, wanted))
    np.testing.assert_array_equal(found.scores, sorted_scores)


def test_self_matches_go_before_the_cut():
    ranking = Ranking(
        np.array([[5, 2, 7], [1, 3, 9], [4, 8, -1]]),
        np.array([[3, 2, 1], [3, 2, 1], [2, 1, -np.inf]], dtype=np.float32),
    )
    kept, dropped = drop_self_matches(ranking, np.array([2, -1, 4]), 2)
    assert kept.rows.tolist() == [[5, 7], [1, 3], [8, -1]] and dropped == 2
    assert kept.scores.tolist() == [[3, 1], [3, 2], [1, -np.inf]]


def test_depths_equal_the_reference(rng):
    documents = 30
    ids = [f"{documents - row:03d}" for row in range(documents)]
    first = np.array([rng.permutation(documents)[:20] for _ in range(5)])
    first[4, 15:] = -1
    scores = np.round(rng.standard_normal((5, 20)), 1).astype(np.float32)
    scores[first < 0] = -np.inf
    scores[4, [2, 9]] = -np.inf  # documents without tokens are candidates, too: they come before what is none
    for depth, rows in reorder(first, scores, [0, 1, 7, 20, 50]).items():
        for query in range(5):
            listed = [ids[row] for row in first[query] if row >= 0]
            by_id = dict(zip(listed, map(float, scores[query]), strict=False))
            assert [ids[row] for row in rows[query][: len(listed)]] == reference.rerank(listed, by_id, depth)
            assert (rows[query][len(listed) :] == -1).all()


@pytest.mark.parametrize("tile", [3, 256])
def test_a_products_row_is_the_same_wherever_it_stands(monkeypatch, rng, tile):
    monkeypatch.setattr(products, "TILE", tile)
    rows, columns = rng.standard_normal((2, 600, 37)).astype(np.float32)
    whole = products.tiled(rows, columns.T, 0)
    np.testing.assert_allclose(whole, rows.astype(np.float64) @ columns.T, rtol=1e-4, atol=1e-4)
    for start, stop in ((0, 1), (5, 260), (255, 257), (599, 600), (256, 600)):
        np.testing.assert_array_equal(products.tiled(rows[start:stop], columns.T, start), whole[start:stop])
    copies = products.tiled(np.concatenate([rows[:10], rows[:10]]), columns.T, 590)
    np.testing.assert_array_equal(copies[:10], copies[10:])
