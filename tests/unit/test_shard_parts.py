"""Shards: which documents each has, and how their results are merged."""

from __future__ import annotations

import numpy as np
import pytest

from harness.config import shards
from harness.config.shards import Shard, parse
from harness.measure.results import Result, merge
from harness.ranking.ranks import Ranking
from harness.system.errors import HarnessError


def test_shards_cover_all_documents_in_whole_chunks():
    for documents in (1, 1024, 5000, 10_240):
        for count in (1, 2, 3, 7):
            rows = [row for shard in Shard(1, count).all for row in shard.rows(documents)]
            assert rows == list(range(documents))
            assert all(
                shard.rows(documents).start % shards.CHUNK == 0
                for shard in Shard(1, count).all
                if shard.rows(documents)
            )


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_a_sentence(text):
    with pytest.raises(HarnessError, match="expected i/n"):
        parse(text)


def test_merging_keeps_the_best_with_ties_by_row():
    left = Ranking(np.array([[0, 1, -1]]), np.array([[2, 1, -np.inf]], np.float32))
    right = Ranking(np.array([[6, 5, 7]]), np.array([[2, 2, 1]], np.float32))
    facts = {"documents": 2, "seconds": {"a": 1.0}, "details": {"size": 4, "kept": 1.0}}
    other = {"documents": 6, "seconds": {"a": 2.0}, "details": {"size": 4, "kept": 3.0}}
    found = merge(
        [Result(left, np.array([[9, 8]], np.float32), facts), Result(right, np.array([[7, 6]], np.float32), other)], 4
    )
    assert found.ranking.rows.tolist() == [[0, 5, 6, 1]]
    assert found.maxsim.tolist() == [[9, 6]]
    assert found.facts == {"documents": 8, "seconds": {"a": 3.0}, "details": {"size": 4, "kept": 2.5}}


def test_merging_keeps_the_maxsim_of_all_that_were_reranked(rng):
    """The depth, 6, is beyond what one shard has, or both; then all that they have was reranked."""
    for sizes in ((4, 5), (4, 9), (9, 8)):
        parts, first = [], 0
        for size in sizes:
            rows = first + rng.permutation(size)[None]
            scores = -np.sort(-rng.standard_normal((1, size)).astype(np.float32))
            exact = rows[:, :6].astype(np.float32) + 100  # a document's MaxSim is its row plus 100
            parts.append(Result(Ranking(rows, scores), exact, {"documents": size}))
            first += size
        found = merge(parts, 9)
        known = found.ranking.rows.shape[1] if max(sizes) <= 6 else 6
        assert found.ranking.rows.shape[1] == min(9, sum(sizes)) and found.maxsim.shape[1] == known
        np.testing.assert_array_equal(found.maxsim, found.ranking.rows[:, :known] + 100)
