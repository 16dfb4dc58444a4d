"""Figures of records, their files, the command: what is drawn is what the records say. Artists, not pixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from cells import cell, named, plaid
from drawings import first_stage, inputs, legend, line, on_two_sets
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from harness import figures
from harness.config import entries
from harness.figures import budget, depth, labels, style
from harness.tables import titles


@pytest.fixture
def two_sets():
    return on_two_sets()


def drawn_depth(some):
    notes: list[str] = []
    ((name, figure),) = depth.figures(inputs(some), notes)
    return name, figure, notes


# Depth


def test_depth_draws_the_means_of_the_records(two_sets):
    name, figure, notes = drawn_depth(two_sets)
    (axes,) = figure.axes
    assert name == "depth-scifact+nfcorpus" and notes == []
    x, y = line(axes, "MUVERA, raw")
    assert x.tolist() == [0, 1, 2] and y == pytest.approx([25, 30, 35])
    assert line(axes, "SMVE, centered")[1] == pytest.approx([30, 35, 40])
    assert line(axes, "PLAID")[1] == pytest.approx([45, 45])
    assert legend(figure.legends[0]) == ["PLAID", "MUVERA, raw", "SMVE, centered"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "50", "100"]
    assert axes.get_xlabel() == "rerank depth, documents" and axes.get_ylabel() == "mean NDCG@10 × 100"
    assert axes.get_title() == "LateOn\nn = 4 queries, 2 data sets"


def test_a_panel_for_each_model(two_sets):
    some = [*two_sets, first_stage("smve", "none", model="lateon_reg")]
    panels = depth.draw(depth.frame(inputs(some), [])).axes
    assert [panel.get_title().split("\n")[0] for panel in panels] == ["LateOn", titles.title("lateon_reg")]
    assert "n = 2 queries, 1 data set" in panels[1].get_title()
    assert line(panels[1], "SMVE, raw")[1] == pytest.approx([20, 25, 30])


def test_exact_search_stands_in_for_plaid(two_sets):
    exact = [cell("exact", {"final": named([0.6, 0.8])}, "none", name) for name in ("scifact", "nfcorpus")]
    _, figure, _ = drawn_depth([*two_sets, *exact])
    assert "PLAID" in legend(figure.legends[0]) and "exact MaxSim" not in legend(figure.legends[0])
    _, figure, _ = drawn_depth([*two_sets[1:], *exact])  # PLAID lacks a data set
    assert "exact MaxSim" in legend(figure.legends[0]) and "PLAID" not in legend(figure.legends[0])
    assert line(figure.axes[0], "exact MaxSim")[1] == pytest.approx([70, 70])


def test_what_is_missing_is_left_out(two_sets):
    two_sets[3] = first_stage("muvera", "none", "nfcorpus", depths=[0, 100])
    some = [*two_sets[:-1], first_stage("smve", "own"), first_stage("smve", "own", "nfcorpus")]
    _, figure, notes = drawn_depth(some)
    x, y = line(figure.axes[0], "MUVERA, raw")
    assert x.tolist() == [0, 2] and y == pytest.approx([20, 30])  # rk=50 of one set alone is no mean
    assert legend(figure.legends[0]) == ["PLAID", "MUVERA, raw", "SMVE, own mean"]
    assert notes == ["depth: SMVE centered, LateOn: left out, measured on 1 of 2 data sets."]


def test_variants_are_left_out_of_depth(two_sets):
    some = [*two_sets, first_stage("smve+keep=8", "corpus"), first_stage("smve", "corpus+renormalize=true")]
    _, figure, notes = drawn_depth(some)
    assert legend(figure.legends[0]) == ["PLAID", "MUVERA, raw", "SMVE, centered"]
    assert notes == ["depth: 2 variants of methods and centerings are left out."]


def test_no_depth_figure_of_plaid_alone(two_sets):
    assert list(depth.figures(inputs(two_sets[:2]), [])) == []


# Budget


def variant(method, megabytes, search, rk0, rk100, **options):
    name = "+".join([method, *(f"{key}={value}" for key, value in sorted(options.items()))])
    chosen = {"name": method, **{"width": 65536, "keep": 32, "seed": 42}, **options}
    return cell(
        name,
        {"0": named([rk0, rk0]), "100": named([rk100, rk100])},
        bytes={"index": round(megabytes * 1e6), "tokens": 30_000_000},
        seconds={f"{method}_encode_queries": 0.001, f"{method}_search": search, "rerank": 0.02},
        details={"documents": 5000},
        identity={"method": chosen},
        host={"cpu": "one"},
    )


@pytest.fixture
def grid():
    return [
        variant("smve", 8, 0.004, 0.40, 0.60),
        variant("smve", 2, 0.002, 0.30, 0.50, keep=8),
        variant("smve", 4, 0.003, 0.20, 0.55, keep=8, width=1024),
        variant("muvera", 16, 0.001, 0.10, 0.45),
    ]


def test_a_pareto_front_with_ties_and_dominated_points():
    cost = np.array([1, 2, 2, 3, 3, 4, 4, np.nan, 5])
    quality = np.array([5, 4, 5, 6, 6, 6, 9, 9, np.nan])
    #  the cheapest; worse; as good but dearer; two equal ones; dearer; the best; not measured
    assert budget.front(cost, quality).tolist() == [True, False, False, True, True, False, True, False, False]
    assert budget.front(np.array([1.0]), np.array([0.0])).tolist() == [True]


def test_a_pareto_front_is_what_its_definition_says(rng):
    cost, quality = rng.integers(0, 6, (2, 40)).astype(float)
    points = list(zip(cost, quality, strict=True))
    expected = [
        not any(c <= cost and q >= quality and (c < cost or q > quality) for c, q in points) for cost, quality in points
    ]
    assert budget.front(cost, quality).tolist() == expected


def test_the_numbers_of_a_budget(grid):
    frame = budget.frame(grid, grid)
    assert frame["kilobytes, rk=0"].tolist() == pytest.approx([1.6, 0.4, 0.8, 3.2])
    assert frame["kilobytes, rk=100"].tolist() == pytest.approx([7.6, 6.4, 6.8, 9.2])  # with 6 kB of token vectors
    assert frame["milliseconds, rk=0"].tolist() == pytest.approx([2.5, 1.5, 2, 1])  # code and search, by two queries
    assert frame["milliseconds, rk=100"].tolist() == pytest.approx([12.5, 11.5, 12, 11])  # and MaxSim
    assert frame["options"].tolist() == ["w=65536 k=32", "w=65536 k=8", "w=1024 k=8", ""]
    assert frame["shipped"].tolist() == [True, False, False, True]
    assert frame["0"].tolist() == pytest.approx([40, 30, 20, 10]) and frame["100"][2] == pytest.approx(55)


def test_budget_draws_fronts_and_labels_them(grid):
    some = [*grid, plaid(named([0.6, 0.8]))]
    ((name, figure),) = budget.figures(inputs(some), [])
    assert name == "budget-scifact-lateon-corpus"
    by_bytes, by_time, reranked, _ = figure.axes
    x, y = line(by_bytes, "SMVE, Pareto front")
    assert x.tolist() == pytest.approx([0.4, 1.6]) and y == pytest.approx([30, 40])
    assert line(by_bytes, "SMVE, dominated")[0] == pytest.approx([0.8])
    assert line(reranked, "SMVE, Pareto front")[1] == pytest.approx([50, 55, 60])
    assert line(by_time, "MUVERA, Pareto front")[0] == pytest.approx([1])
    assert line(by_bytes, "default options")[0] == pytest.approx([1.6, 3.2])
    assert line(reranked, "PLAID")[1] == pytest.approx([70, 70])
    assert {text.get_text() for text in by_bytes.texts} == {"w=65536 k=8", "w=65536 k=32"}
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert by_bytes.get_ylabel() == "NDCG@10 × 100, rk=0" and reranked.get_ylabel() == "NDCG@10 × 100, rk=100"
    assert reranked.get_xlabel() == "kB per document (index; reranked: and token vectors)"
    assert figure.axes[3].get_xlabel() == "ms per query (first stage; reranked: and MaxSim)"
    assert figure.get_suptitle() == "LateOn, scifact, centered (n = 2 queries, 5,000 documents)"


def test_a_depth_that_was_not_measured_is_not_a_zero(grid):
    without = [cell("smve", {"0": named([0.1, 0.1])}, **_same(grid[0])), grid[1]]
    frame = budget.frame(without, without)
    assert np.isnan(frame["100"][0]) and np.isnan(frame["milliseconds, rk=100"][0])
    figure = budget.draw(frame, "x")
    assert line(figure.axes[2], "SMVE, Pareto front")[1] == pytest.approx([50])


def _same(record):
    return {name: getattr(record, name) for name in ("bytes", "seconds", "details", "identity", "host")}


def test_no_budget_of_single_settings(grid):
    assert list(budget.figures(inputs([grid[0], grid[3]]), [])) == []


def test_an_index_is_an_option_and_whole_systems_are_points(grid):
    some = [variant("muvera", 16, 0.001, 0.10, 0.45, **{"index": {"name": "hnsw", "efSearch": 64}}), grid[3]]
    assert budget.frame(some, some)["options"].tolist() == ["index=hnsw efSearch=64", ""]
    cost = {
        "bytes": {"tokens": 9, "index": 5_000_000},
        "seconds": {"plaid_search": 0.008},
        "details": {"documents": 5000},
    }
    whole = [plaid(named([0.6, 0.8]), model=model, **cost) for model in ("lateon", "lateon+pool=hierarchical", "other")]
    ((_, figure),) = budget.figures(inputs([*grid, *whole]), [])
    names = [label for label in legend(figure.legends[0]) if label.endswith("point")]
    assert names == ["PLAID, point", "PLAID pool=hierarchical, point"]
    assert [values.tolist() for values in line(figure.axes[0], names[1])] == [[1], pytest.approx([70])]
    assert line(figure.axes[1], names[0])[0] == pytest.approx([4])


def test_the_recommended_centerings_of_all_methods_are_on_the_same_axes(grid):
    """Each has another centering; a method that has only one setting is there, too."""
    centers = ["corpus+query_tokens=real"] * 3 + ["shrunk"]
    grid = [replace(record, center=center) for record, center in zip(grid, centers, strict=True)]
    ((name, figure),) = budget.figures(inputs(grid), [])
    assert name == "budget-scifact-lateon-recommended"
    assert line(figure.axes[0], "SMVE, Pareto front")[0].tolist() == pytest.approx([0.4, 1.6])
    assert line(figure.axes[0], "MUVERA, Pareto front")[0] == pytest.approx([3.2])
    ((name, _),) = budget.figures(inputs(grid[:3]), [])
    assert name == "budget-scifact-lateon-corpus+query_tokens=real"


def test_no_budget_without_its_depths(grid):
    some = [cell(one.method, {"200": named([0.1, 0.1])}, **_same(one)) for one in grid]
    assert list(budget.figures(inputs(some), [])) == []
    figure = budget.draw(budget.frame(grid[1:3], grid), "x")
    assert "default options" not in legend(figure.legends[0])


def test_times_of_different_machines_are_noted(grid):
    grid[1].host["cpu"] = "two"
    notes: list[str] = []
    assert len(list(budget.figures(inputs(grid), notes))) == 1
    assert notes == ["budget: scifact, lateon: query times are from different machines or threads."]
    grid[1].host["cpu"] = "one"
    list(budget.figures(inputs([*grid, plaid(named([0.6, 0.8]), host={"cpu": "two"})]), notes))
    assert len(notes) == 2  # a point of PLAID's is compared, too


def test_labels_cover_neither_each_other_nor_points(rng):
    axes = Figure(figsize=(3.4, 3)).subplots()
    points = [(float(x), float(y), f"w={i} k=8") for i, (x, y) in enumerate(np.sort(rng.random((8, 2)), axis=0))]
    others = [(x, y - 0.1) for x, y, _ in points]
    axes.plot(*zip(*[(x, y) for x, y, _ in points], *others, strict=True), ".")
    labels.place(axes, points, others, [np.array([[0.0, 0.5], [1.0, 0.5]])])
    axes.figure.draw_without_rendering()  # annotations find their places
    texts = [text for text in axes.texts if isinstance(text, Annotation)]
    boxes = [super(Annotation, text).get_window_extent() for text in texts]  # without the line to the point
    assert len(texts) >= 6
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    marks = axes.transData.transform([point[:2] for point in [*points, *others]])
    assert not any(box.contains(*mark) for box in boxes for mark in marks)
    height = axes.transData.transform((0, 0.5))[1]
    assert not any(box.ymin < height < box.ymax for box in boxes)


# Style and files


def lightness(color):
    """CIE L*, 0 to 100: what is left of a colour in grey."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    y = np.dot([0.2126, 0.7152, 0.0722], linear)
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize("group", [style.METHODS, style.CENTERS], ids=["methods", "centerings"])
def test_colours_differ_in_grey_and_never_alone(group):
    for one, other in combinations(group.values(), 2):
        assert one.color == other.color or abs(lightness(one.color) - lightness(other.color)) > 20
        assert (one.line, one.marker) != (other.line, other.marker)
    assert all(lightness(look.color) < 80 for look in group.values())  # seen on white


def test_every_method_and_centering_has_a_look_of_its_own():
    looks = [
        tuple(sorted(style.of_cell(method, center).items()))
        for method in ("muvera", "smve")
        for center in entries.choices("center")
    ]
    assert len(set(looks)) == len(looks)
    assert style.of_cell("mine+a=1", "own")["color"] == style.OTHER.color


def test_every_kind_of_figure_is_an_option():
    text = (entries.CONF_DIR / "config.yaml").read_text()
    assert " | ".join(figures.KINDS) in text
