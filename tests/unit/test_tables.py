"""Tables and checks from records: means over the same sets, nothing invented."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import fields
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import yaml
from cells import cell, drawn, named

from harness import tables
from harness.config import entries
from harness.records import Record
from harness.system.errors import HarnessError
from harness.tables import expected

SETS = ["scifact", "nfcorpus", "arguana"]


def record(dataset, center, method, model="lateon", notes=(), **ndcg10):
    empty = {field.name: "" if field.type == "str" else {} for field in fields(Record) if field.name != "draws"}
    named = {"dataset": dataset, "model": model, "center": center, "method": method, "notes": list(notes)}
    return Record(
        **{**empty, **named, "ndcg10": {depth.strip("_"): value for depth, value in ndcg10.items()}, "format": 1}
    )


@pytest.fixture
def some():
    return [
        record("scifact", "none", "plaid", final=0.70),
        record("nfcorpus", "none", "plaid", final=0.40),
        record("arguana", "none", "plaid", final=0.31),
        record("scifact", "corpus", "muvera", _0=0.50, _50=0.695),
        record("nfcorpus", "corpus", "muvera", _0=0.30, _50=0.35),
        record("scifact", "own", "muvera", _0=0.55, _50=0.70, notes=["mu_Q: 809 of 809 queries of scifact/train"]),
    ]


def table(some, datasets=SETS):
    rows = tables.rows_of(some, [], [], [])
    return tables.long_form(some, rows, datasets, [0, 50])


def one(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    (line,) = frame.to_dict("records")
    return line


def test_means_and_differences_are_over_the_same_sets(some):
    mean = one(table(some), center="corpus", method="muvera", depth="50", dataset="mean")
    assert mean["ndcg10"] == pytest.approx((69.5 + 35) / 2)
    assert mean["plaid"] == pytest.approx((70 + 40) / 2)  # not ArguAna, which the row does not have
    assert mean["delta"] == pytest.approx(mean["ndcg10"] - mean["plaid"])


def test_missing_is_missing(some):
    for dataset in [*SETS, "mean"]:
        line = one(table(some), center="none", method="smve", depth="50", dataset=dataset)
        assert math.isnan(line["ndcg10"]) and math.isnan(line["delta"])
    line = one(table(some), center="corpus", method="muvera", depth="0", dataset="arguana")
    assert math.isnan(line["ndcg10"]) and line["plaid"] == pytest.approx(31)


def test_a_depth_that_one_set_lacks_has_no_mean(some):
    some[4] = record("nfcorpus", "corpus", "muvera", _0=0.30)
    assert math.isnan(one(table(some), center="corpus", method="muvera", depth="50", dataset="mean")["ndcg10"])
    assert one(table(some), center="corpus", method="muvera", depth="0", dataset="mean")["ndcg10"] == pytest.approx(40)


def test_markdown_is_the_cards_layout(some):
    text = tables.markdown(table(some), SETS)
    card, own = text.split("\n\nNot in the card")
    assert card.splitlines() == [
        "| Model | Center | PLAID | Method | rk=0 | rk=50 |",
        "|---|---|---|---|---|---|",
        "| LateOn | no | 47.00 | MUVERA | – | – |",
        "| LateOn | no | 47.00 | SMVE | – | – |",
        "| LateOn [2 of 3 sets] | yes | 55.00 | MUVERA | 40.00 (-15.0) | 52.25 (-2.8) |",
        "| LateOn | yes | 47.00 | SMVE | – | – |",
    ]
    assert "| LateOn [1 of 3 sets] | own | 70.00 | MUVERA | 55.00 (-15.0) | 70.00 (+0.0) |" in own
    found = tables.remarks(table(some), some, "beir3", SETS)
    assert "scifact, center own: mu_Q: 809 of 809 queries of scifact/train." in found
    assert "PLAID, LateOn: 47.00." in found and "Not measured (–): 24 of 33 cells." in found


def test_csv_has_exactly_these_columns(some):
    frame = pd.read_csv(StringIO(tables.csv(table(some))), keep_default_na=True)
    assert list(frame.columns) == "model,center,method,depth,dataset,ndcg10,plaid,delta,sd,draws".split(",")
    plaid = frame[frame["method"] == "plaid"]
    assert plaid["depth"].isna().all() and list(plaid["dataset"]) == [*SETS, "mean"]
    assert set(frame["center"]) == {"no", "yes", "own"}


def test_a_partial_mean_is_empty_in_csv(some):
    frame = pd.read_csv(StringIO(tables.csv(table(some))), dtype={"depth": str})
    assert math.isnan(one(frame, center="yes", method="muvera", depth="50", dataset="mean")["ndcg10"])
    assert one(frame, method="plaid", dataset="mean")["ndcg10"] == pytest.approx(47)


def test_own_rows_come_after_all_others(some):
    both = [*some, *(dataclasses.replace(r, model="lateon_reg") for r in some)]
    centers = [row.center for row in tables.rows_of(both, [], [], [])]
    assert centers.index("own") == len(centers) - centers.count("own")


def test_variants_of_plaid_are_one_value(some):
    both = [*some, record("scifact", "none", "plaid+n_ivf_probe=4", final=0.66)]
    line = one(table(both, ["scifact"]), method="plaid+n_ivf_probe=4", dataset="scifact")
    assert line["depth"] == "" and line["ndcg10"] == pytest.approx(66) and line["delta"] == pytest.approx(-4)
    assert "PLAID n_ivf_probe=4, LateOn: 66.00 (-4.0)." in tables.remarks(
        table(both, ["scifact"]), both, "x", ["scifact"]
    )


def test_different_weights_are_not_put_into_one_table(some):
    first, second = (dataclasses.replace(r, identity={"weights": w}) for r, w in zip(some[:2], "ab", strict=True))
    with pytest.raises(HarnessError, match="records of model 'lateon' were made with different weights"):
        tables.check_consistent([first, second])
    tables.check_consistent([first, first])


@pytest.mark.parametrize(
    ("identities", "label"),
    [
        ([{"model": {}, "vectors": "a"}, {"model": {}, "vectors": "b"}], "token vectors"),
        ([{"model": {"query_length": 8}}, {"model": {"query_length": 9}}], "query lengths"),
        ([{"model": {"dtype": "float32"}}, {"model": {"dtype": "float16"}}], "model options"),
    ],
)
def test_different_vectors_and_lengths_of_one_data_set_are_not_put_into_one_table(some, identities, label):
    one, other = (dataclasses.replace(some[0], identity=identity) for identity in identities)
    with pytest.raises(HarnessError, match=f"records of model 'lateon' were made with different {label}"):
        tables.check_consistent([one, other])
    if label != "model options":  # these may differ from data set to data set
        tables.check_consistent([one, dataclasses.replace(other, dataset="elsewhere")])


def test_latex_has_every_line(some):
    text = tables.latex(table(some), SETS)
    assert text.count(r" \\") == 6 and r"\toprule" in text and "LateOn & no & 47.00 & MUVERA & -- & --" in text


def test_the_cards_own_numbers_make_the_cards_table():
    """Records with the card's means in every set give the card's lines back, deltas included."""
    card = yaml.safe_load((entries.ROOT / "results" / "expected" / "card.yaml").read_text())
    plaid = {row["model"]: row["plaid"] for row in card["rows"] if "plaid" in row}
    some = [record("scifact", "none", "plaid", model=model, final=value / 100) for model, value in plaid.items()]
    for row in card["rows"]:
        values = {f"_{depth}": value / 100 for depth, value in zip(card["depths"], row["ndcg10"], strict=True)}
        center = {"no": "none", "yes": "corpus"}[row["center"]]
        some.append(record("scifact", center, row["method"], model=row["model"], **values))
    rows = tables.rows_of(some, ["lateon", "lateon_reg", "lateon_reg_smve"], [], [])
    lines = tables.markdown(tables.long_form(some, rows, ["scifact"], card["depths"]), ["scifact"]).splitlines()
    assert any(line.startswith("| LateOn | yes | 55.28 | MUVERA | 32.66 (-22.6) | 46.22 (-9.1) |") for line in lines)
    last = "| LateOn-regularized (SMVE) | yes | 54.92 | SMVE | 40.39 (-14.5) | 50.70 (-4.2) | 52.09 (-2.8) |"
    assert lines[-1] == last + " 52.92 (-2.0) | 53.19 (-1.7) | 53.47 (-1.5) |"


EXPECTED = """
source: a test
suite: beir3
tolerance: {ok: 0.05, near: 0.3}
depths: [0, 50]
rows:
  - {model: lateon, center: "yes", method: muvera, plaid: 47.0, ndcg10: [40.05, 52.5]}
"""


def verdicts(tmp_path, some, text):
    path = tmp_path / "expected.yaml"
    path.write_text(text)
    return {(c.method, c.depth): c.verdict for c in expected.check_file(path, some)}


def test_verdicts(tmp_path, some):
    complete = [*some, record("arguana", "corpus", "muvera", _0=0.40, _50=0.5225)]
    assert verdicts(tmp_path, complete, EXPECTED) == {
        ("muvera", "0"): "OK",
        ("muvera", "50"): "NEAR",
        ("plaid", ""): "OK",
    }
    assert verdicts(tmp_path, complete, EXPECTED.replace("52.5", "52.6"))["muvera", "50"] == "FAIL"


def test_a_partial_mean_is_not_compared(tmp_path, some):
    assert verdicts(tmp_path, some, EXPECTED)["muvera", "0"] == "MISSING"


def test_a_row_may_name_one_data_set(tmp_path, some):
    text = EXPECTED.replace("plaid: 47.0", "dataset: scifact, plaid: 70.1").replace("40.05, 52.5", "50.0, 69.8")
    assert verdicts(tmp_path, some, text) == {("muvera", "0"): "OK", ("muvera", "50"): "NEAR", ("plaid", ""): "NEAR"}


def test_the_committed_expectations_are_read():
    for path in sorted((entries.ROOT / "results" / "expected").glob("*.yaml")):
        assert {check.verdict for check in expected.check_file(path, [])} == {"MISSING"}


BROKEN = [("depths: [0, 50]", "depths: [0]"), ("tolerance", "tolerances"), ("- {", "- ["), ("plaid:", "plaidd:")]


@pytest.mark.parametrize("change", BROKEN)
def test_a_broken_expected_file_is_a_sentence(tmp_path, some, change):
    with pytest.raises(HarnessError, match="is not a file of expected values"):
        verdicts(tmp_path, some, EXPECTED.replace(*change))


def test_what_no_centering_changes_is_in_the_table_of_every_centering():
    exact = cell("exact", {"final": named([1.0])}, "none")
    rows = tables.rows_of([exact, cell("smve", {"0": named([1.0])}, "own")], ["lateon"], ["corpus"], ["exact"])
    assert tables.Row("lateon", "none", "exact") in rows and not any(row.center == "own" for row in rows)


def test_the_spread_is_over_the_means_of_each_draw():
    """Two sets go up and down together: the sd of their mean is not that of independent sets."""
    low, high = [[0.2, 0.4], [0.4, 0.6]], [[0.1], [0.5]]
    some = [
        drawn("muvera", {"0": low}, (1, 2), dataset="scifact"),
        drawn("muvera", {"0": high}, (1, 2), dataset="arguana"),
    ]
    sets = ["scifact", "arguana"]
    table = tables.long_form(some, [tables.Row("lateon", "corpus", "muvera")], sets, [0])
    long = table.set_index("dataset")
    assert long["ndcg10"].to_dict() == pytest.approx({"scifact": 40, "arguana": 30, "mean": 35})
    assert long["sd"]["scifact"] == pytest.approx(100 * np.std([0.3, 0.5], ddof=1))
    assert long["sd"]["mean"] == pytest.approx(100 * np.std([(0.3 + 0.1) / 2, (0.5 + 0.5) / 2], ddof=1))
    assert set(long["draws"]) == {2}
    assert "| 35.00 ± 21.21 |" in tables.markdown(table, sets)
    assert r"35.00 $\pm$ 21.21" in tables.latex(table, sets)


def test_draws_that_one_set_lacks_do_not_count():
    some = [
        drawn("muvera", {"0": [[0.2], [0.4], [0.6]]}, (1, 2, 3), dataset="scifact"),
        drawn("muvera", {"0": [[0.1], [0.5]]}, (2, 9), dataset="arguana"),
    ]
    long = tables.long_form(some, [tables.Row("lateon", "corpus", "muvera")], ["scifact", "arguana"], [0])
    mean = long.set_index("dataset").loc["mean"]
    assert mean["draws"] == 1 and np.isnan(mean["sd"])
    said = tables.remarks(long, some, "both", ["scifact", "arguana"])
    assert "One draw of the projections (MUVERA): another may differ by points (method.seeds=10 tells)." in said
