"""How a first stage follows MaxSim, against loops and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from scipy.stats import spearmanr

from harness.evaluation.agreement import agreement
from harness.ranking.ranks import Ranking, drop_self_matches

NO = -np.inf


def ranking(scores):
    """All documents, by score descending, then row ascending; -inf is left out."""
    scores = np.asarray(scores, dtype=np.float32)
    rows = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, rows, axis=1)
    return Ranking(np.where(ordered == NO, -1, rows), ordered)


def listed(rows):
    return [int(row) for row in rows if row >= 0]


@pytest.fixture
def scores(rng):
    """(first, exact): scores [5, 40] with something in common, in steps, so that many tie."""
    exact = rng.standard_normal((5, 40)).round(1)
    return (exact + rng.standard_normal((5, 40))).round(1), exact


def test_spearman_equals_scipys_and_the_reference(scores):
    first, exact = scores
    found = agreement(ranking(first), ranking(exact), [10])
    scipys = [spearmanr(a, b).statistic for a, b in zip(first, exact, strict=True)]
    assert found["spearman"] == pytest.approx(np.mean(scipys), abs=1e-12)
    references = [reference.spearman(list(a), list(b)) for a, b in zip(first, exact, strict=True)]
    assert found["spearman"] == pytest.approx(np.mean(references), abs=1e-12)
    assert found["queries"] == 5


def test_recall_and_overlap_equal_the_reference(scores):
    first, exact = map(ranking, scores)
    found = agreement(first, exact, [10, 13, 25, 40])
    sides = [(listed(a), listed(b)) for a, b in zip(first.rows, exact.rows, strict=True)]
    for depth in (10, 13, 25, 40):
        recall = np.mean([reference.share_found(a, b, 10, depth) for a, b in sides])
        overlap = np.mean([reference.share_found(a, b, depth, depth) for a, b in sides])
        assert found["recall"][str(depth)] == pytest.approx(recall, abs=1e-12)
        assert found["overlap"][str(depth)] == pytest.approx(overlap, abs=1e-12)
    assert found["recall"]["10"] == found["overlap"]["10"] < 1
    assert found["recall"]["40"] == found["overlap"]["40"] == 1


def test_documents_that_the_first_stage_does_not_have_are_behind_all_others(scores):
    first, exact = scores
    first[:, 5:17] = NO
    found = agreement(ranking(first), ranking(exact), [10, 35])
    behind = np.where(first == NO, -99, first)
    assert found["spearman"] == pytest.approx(
        np.mean([spearmanr(a, b).statistic for a, b in zip(behind, exact, strict=True)]), abs=1e-12
    )
    sides = zip(ranking(first).rows, ranking(exact).rows, strict=True)
    recall = np.mean([reference.share_found(listed(a), listed(b), 10, 35) for a, b in sides])
    assert found["recall"]["35"] == pytest.approx(recall, abs=1e-12) and recall < 1


def test_documents_that_exact_search_does_not_have_do_not_count(scores):
    """A document without tokens is in neither ranking."""
    first, exact = scores
    first[:, 7] = exact[:, 7] = NO
    rest = np.delete(np.arange(40), 7)
    found = agreement(ranking(first), ranking(exact), [10, 20])
    assert found == agreement(ranking(first[:, rest]), ranking(exact[:, rest]), [10, 20])


def test_a_querys_own_document_does_not_count(scores):
    """Dropped from both: the same as where that document is not there at all."""
    first, exact = scores
    own = np.array([4, -1, 0, 39, -1])
    first[0, 4] = exact[0, 4] = 99
    dropped = [drop_self_matches(ranking(side), own, 40)[0] for side in (first, exact)]
    found = agreement(*dropped, [10, 20])
    alone = []
    for i, row in enumerate(own):
        others = np.arange(40) if row < 0 else np.delete(np.arange(40), row)
        alone.append(agreement(ranking(first[i : i + 1, others]), ranking(exact[i : i + 1, others]), [10, 20]))
    assert found["spearman"] == pytest.approx(np.mean([one["spearman"] for one in alone]), abs=1e-12)
    for of in ("recall", "overlap"):
        for depth in ("10", "20"):
            assert found[of][depth] == pytest.approx(np.mean([one[of][depth] for one in alone]), abs=1e-12)


def test_the_same_ranking_agrees_whatever_its_scores(rng):
    exact = rng.standard_normal((3, 30))
    found = agreement(ranking(np.exp(exact)), ranking(exact), [10, 20])
    assert found["spearman"] == pytest.approx(1)
    assert found["recall"] == found["overlap"] == {"10": 1, "20": 1}


def test_the_opposite_ranking_disagrees(rng):
    exact = rng.standard_normal((3, 30))
    found = agreement(ranking(-exact), ranking(exact), [10, 20, 30])
    assert found["spearman"] == pytest.approx(-1)
    assert found["recall"] == {"10": 0, "20": 0, "30": 1}
    assert found["overlap"] == {"10": 0, "20": 0.5, "30": 1}


def test_one_score_for_all_documents_is_no_order(rng):
    """The mean of 1 and 0; a part of a ranking at random agrees by chance alone."""
    exact = rng.standard_normal((2, 30))
    first = np.stack([exact[0], np.full(30, 2.0)])
    assert agreement(ranking(first), ranking(exact), [10])["spearman"] == pytest.approx(0.5)


@pytest.mark.parametrize(("own", "fitting"), [(-1, ["10", "29", "30"]), (3, ["10", "29"])])
def test_depths_beyond_the_documents_are_left_out(rng, own, fitting):
    """A query's own document is not one of them."""
    first, exact = (
        drop_self_matches(ranking(rng.standard_normal((2, 30))), np.array([own, -1]), 30)[0] for _ in range(2)
    )
    found = agreement(first, exact, [10, 29, 30, 31, 1000])
    assert list(found["recall"]) == list(found["overlap"]) == fitting


def test_fewer_documents_than_the_top_have_a_correlation_alone(rng):
    exact = rng.standard_normal((2, 9))
    assert agreement(ranking(exact), ranking(exact), [10, 50]) == {
        "spearman": pytest.approx(1),
        "recall": {},
        "overlap": {},
        "queries": 2,
    }
