"""Figures of a geometry: what is drawn is what its file says. The artists are looked at, not the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import COUNTS, EDGES, FILLED, SHARES, geometry, legend, line, lorenz

from harness.figures import agreement, buckets, cosines, overlap, spectrum, style
from harness.figures.inputs import by_center


def test_spectrum():
    figure = spectrum.draw(geometry())
    documents, queries = figure.axes
    x, y = line(documents, "raw")
    assert x.tolist() == [1, 2, 3, 4] and y == pytest.approx(SHARES[0][:4])  # rounding and zeros are not drawn
    assert line(queries, "own mean")[1] == pytest.approx(SHARES[2][:5])
    assert legend(documents.get_legend()) == ["raw, stable rank 1.2", "centered = own mean, stable rank 11.2"]
    assert legend(queries.get_legend())[1:] == ["centered, stable rank 11.2", "own mean, stable rank 21.2"]
    assert documents.get_yscale() == "log" and documents.get_ylabel() == "share of the sum of eigenvalues"
    assert documents.get_title() == "documents, n = 12,345 tokens, 6 dimensions"
    assert figure.get_suptitle() == "LateOn, scifact"


def test_cosines():
    figure = cosines.draw(geometry())
    documents, queries = figure.axes
    for axes, counts in ((documents, COUNTS[:2]), (queries, COUNTS)):
        drawn = [patch.get_data() for patch in axes.patches]
        assert [data.values.tolist() for data in drawn] == [pytest.approx(np.array(c) / 100) for c in counts]
        assert all(data.edges.tolist() == EDGES for data in drawn)
        assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 0.6  # nothing is cut off, in no panel
    marks = [one.get_xdata()[0] for one in queries.lines if len(one.get_xdata())]
    assert marks == [0.82, 0.01, 0.02]
    assert legend(queries.get_legend()) == ["raw, mean 0.82", "centered, mean 0.01", "own mean, mean 0.02"]
    assert documents.get_title() == "documents, n = 100 random pairs of tokens"
    assert documents.get_ylabel() == "share of pairs, in bins of 0.5"


def test_buckets_and_anchors():
    figure = buckets.draw(geometry())
    filled, filled_by_queries, loaded, loaded_by_queries = figure.axes
    x, y = line(filled, "raw")
    assert x.tolist() == [1, 2] and y.tolist() == FILLED[0][:2]  # log: empty buckets are not drawn
    assert line(filled_by_queries, "own mean")[1].tolist() == FILLED[2]
    assert set(line(filled, "uniform")[1]) == {0.25}
    assert legend(filled.get_legend()) == [
        "raw, entropy 0.88 of 2 bits",
        "centered = own mean, entropy 1.85 of 2 bits",
        "uniform, 1/4",
    ]
    x, y = line(loaded, "centered")
    assert x == pytest.approx(np.linspace(0, 1, 101)) and y.tolist() == lorenz(1)
    assert line(loaded_by_queries, "own mean")[1].tolist() == lorenz(2)
    assert line(loaded, "equal load")[1].tolist() == [0, 1]
    assert legend(loaded.get_legend())[0] == "raw, Gini 0.60 (at random 0.10)"
    assert [axes.get_title() for axes in (filled, loaded_by_queries)] == [
        "MUVERA, documents, n = 678 tokens",
        "SMVE, queries, n = 432 tokens",
    ]
    assert filled.get_ylabel().startswith("share of tokens") and loaded.get_ylabel().startswith("share of the places")


def test_one_first_stage_alone_has_one_row():
    stages = geometry()["first_stages"]
    for method in stages:
        figure = buckets.draw(geometry(first_stages={method: stages[method]}))
        assert len(figure.axes) == 2


def test_overlap_leaves_out_bins_without_pairs():
    (axes,) = overlap.draw(geometry()).axes
    x, y = line(axes, "own mean")
    assert x.tolist() == [-0.75, 0.25, 0.75] and y.tolist() == [1.0, 0.5, 0.5]
    assert legend(axes.get_legend())[0] == "raw, n = 1,105 pairs of tokens"
    assert axes.get_xlabel() == "cosine of query token and document token" and "SMVE" in axes.get_title()


def test_agreement():
    found = geometry()
    found["first_stages"]["smve+keep=8"] = found["first_stages"]["smve"]  # a variant: not drawn
    figure = agreement.draw(found)
    recall, shared = figure.axes
    x, y = line(recall, "SMVE, centered")
    assert x.tolist() == [10, 50, 100] and y == pytest.approx([0.2, 0.3, 0.5])
    assert line(shared, "MUVERA, own mean")[1] == pytest.approx([0.1, 0.4])
    labels = legend(figure.legends[0])
    assert len(labels) == 6 and labels[0] == "MUVERA, raw, ρ = 0.30"
    assert "n = 99 queries, 5,000 documents" in figure.get_suptitle()
    assert recall.get_xlabel() == "k, documents" and "top 10" in recall.get_ylabel() and "top k" in shared.get_ylabel()


def test_centerings_that_were_not_measured_are_left_out():
    found = geometry()
    for spaces in found["first_stages"].values():
        del spaces["own"], spaces["centered"]
    for draw in (buckets.draw, overlap.draw, agreement.draw):
        figure = draw(found)
        texts = [text for axes in figure.axes for text in axes.get_legend_handles_labels()[1]]
        assert any("raw" in text for text in texts) and not any("own" in text or "centered" in text for text in texts)


def test_what_is_the_same_twice_has_both_names():
    assert by_center({"raw": 1, "centered": 2, "own": 3}) == [
        ("none", "raw", 1),
        ("corpus", "centered", 2),
        ("own", "own mean", 3),
    ]
    assert by_center({"centered": 2, "own": 2}) == [("corpus", "centered = own mean", 2)]
    assert by_center({"own": 2}) == [("own", "own mean", 2)]


@pytest.mark.parametrize("draw", [spectrum.draw, cosines.draw, buckets.draw, overlap.draw, agreement.draw])
def test_nothing_is_cut_off(draw):
    """Every text lies inside the figure."""
    with style.used():
        figure = draw(geometry())
        figure.draw_without_rendering()
        figure.draw_without_rendering()
    edge = figure.bbox.padded(1)
    box = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert edge.xmin <= box.xmin and edge.ymin <= box.ymin and box.xmax <= edge.xmax and box.ymax <= edge.ymax
