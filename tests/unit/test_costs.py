"""Costs in tables: which numbers of a record they are, means over data sets, and hosts."""

from __future__ import annotations

import math
from io import StringIO

import pandas as pd
import pytest
from cells import cell, named, plaid

from harness import records, tables
from harness.cli import main
from harness.tables import Row, costs

SETS = ["scifact", "arguana"]
HOST = {"cpu": "A CPU", "cores": 4, "threads": 2, "system": "Linux"}
OWN, YES = Row("lateon", "own", "muvera"), Row("lateon", "corpus", "muvera")


def muvera(queries, dataset="scifact", center="corpus", search=2.0, host=HOST, index=2_500_000):
    seconds = {
        "encode_queries": 99.0,
        "encode_documents": 100.0,
        "center": 99.0,
        "muvera_encode_queries": 0.5,
        "muvera_encode_documents": 3.0,
        "muvera_search": search,
        "rerank": 1.0,
        "evaluate": 99.0,
    }
    values = {depth: named([0.5] * queries) for depth in ("0", "50")}
    return cell("muvera", values, center, dataset, seconds=seconds, bytes={"tokens": 9, "index": index}, host=host)


def reference(queries, dataset="scifact"):
    seconds = {"encode_documents": 100.0, "plaid_encode_documents": 50.0, "plaid_search": 4.0, "rerank": 9e-6}
    return plaid(named([0.5] * queries), dataset, seconds=seconds, bytes={"tokens": 9, "index": 1_001}, host=HOST)


def measured(some, datasets=("scifact",)):
    return costs.measured(some, tables.rows_of(some, [], [], []), datasets)


def test_costs_are_these_phases():
    found = measured([muvera(10), reference(10)])
    assert found[YES]["scifact"] == costs.Cost(2_500_000.0, 100.0, 3.0, 250.0, 100.0)
    of_plaid = found[Row("lateon", "none", "plaid")]["scifact"]
    assert of_plaid.first_stage_ms == 400.0 and of_plaid.build_seconds == 50.0 and of_plaid.index_bytes == 1001
    assert math.isnan(of_plaid.rerank_ms)


def test_cells_that_were_searched_together_share_the_seconds():
    """Equal to the last digit: one search over the queries of both; otherwise each had its own."""
    together = measured([muvera(10), muvera(10, center="own")])
    assert together[YES]["scifact"].first_stage_ms == together[OWN]["scifact"].first_stage_ms == 125.0
    apart = measured([muvera(10), muvera(10, center="own", search=2.0000001)])
    assert apart[YES]["scifact"].first_stage_ms == 250.0
    other_set = measured([muvera(10), muvera(10, center="own", dataset="arguana")], SETS)
    assert other_set[YES]["scifact"].first_stage_ms == 250.0


def table_of(some, datasets):
    (section,) = costs.sections(measured(some, datasets), some, datasets)
    return section


def test_a_line_is_the_mean_over_data_sets():
    """Means of times per query, not of all queries: 250 and 1250 ms, whatever the counts."""
    section = table_of([muvera(10), muvera(2, "arguana", index=500_000)], SETS)
    assert section.lines.to_dict("records") == [
        {
            "Model": "LateOn",
            "Center": "yes",
            "Method": "MUVERA",
            "Index": "1.5 MB",
            "Encode, s": "100.0",
            "Build, s": "3.0",
            "First stage, ms / query": "750.00",
            "Rerank, ms / query": "300.00",
        }
    ]
    assert section.remarks[-1] == "Measured on A CPU, 4 cores, 2 threads."


def test_what_there_is_not_is_missing_and_fewer_sets_are_named():
    exact = cell("exact", {"final": named([0.5] * 4)}, "none", seconds={"exact_search": 1.0}, bytes={"index": 999})
    (line,) = table_of([exact], SETS).lines.to_dict("records")
    assert line["Model"] == "LateOn [1 of 2 sets]" and line["Index"] == "999 bytes"
    assert line["Encode, s"] == line["Build, s"] == line["Rerank, ms / query"] == "–"
    assert line["First stage, ms / query"] == "250.00"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1_000, "1.0 kB"), (212_295_680, "212.3 MB"), (3.62e11, "362.0 GB"), (2e16, "20000.0 TB")],
)
def test_bytes_are_in_units_of_a_thousand(count, text):
    (line,) = table_of([muvera(1, index=count)], ["scifact"]).lines.to_dict("records")
    assert line["Index"] == text


def test_different_hosts_are_said():
    gpu = {**HOST, "gpu": "A GPU"}
    section = table_of([muvera(10), muvera(10, center="own", host=gpu)], ["scifact"])
    assert section.remarks[-1] == (
        "Measured on 2 different hosts, whose seconds cannot be compared: A CPU, 4 cores, 2 threads; "
        "A GPU, A CPU, 4 cores, 2 threads."
    )


def test_hosts_are_those_of_the_rows_that_are_shown():
    some = [muvera(10), cell("smve", {"0": named([0.5])}, host={"cpu": "another"})]
    shown = costs.measured(some, [YES], ["scifact"])
    assert costs.sections(shown, some, ["scifact"])[0].remarks[-1] == "Measured on A CPU, 4 cores, 2 threads."
    assert costs.sections({}, some, ["scifact"]) == []


def printed(tmp_path, capsys, *words):
    for record in [muvera(10), reference(10), muvera(10, "arguana")]:
        records.write(tmp_path, record)
    places = [f"results_dir={tmp_path}"]
    assert main(["table", "model=lateon", "depths=[0,50]", *places, *words]) == 0
    return capsys.readouterr().out


def test_csv_has_bytes_and_empty_means_over_fewer_sets(tmp_path, capsys):
    plain = pd.read_csv(StringIO(printed(tmp_path, capsys, "dataset=scifact,arguana", "format=csv")))
    text = printed(tmp_path, capsys, "dataset=scifact,arguana", "format=csv", "cost=true")
    frame = pd.read_csv(StringIO(text), dtype={"depth": str})
    assert list(frame.columns) == [*plain.columns, *costs.NAMES] and len(frame) == len(plain)
    mean = frame[frame["dataset"] == "mean"].set_index(["method", "center", "depth"])
    line = mean.loc[("muvera", "yes", "50")]
    assert line[costs.NAMES].tolist() == [2_500_000, 100, 3, 250, 100]
    assert frame[frame["method"] == "plaid"].set_index("dataset")["index_bytes"].isna().tolist() == [False, True, True]
    assert ",2500000,100.0000,3.0000,250.0000,100.0000\n" in text
    assert mean.loc[("smve", "yes", "50"), costs.NAMES].isna().all()


def test_it_comes_below_the_table(tmp_path, capsys):
    plain = printed(tmp_path, capsys, "dataset=scifact")
    text = printed(tmp_path, capsys, "dataset=scifact", "cost=true")
    assert text.startswith(plain)
    assert "| LateOn | yes | MUVERA | 2.5 MB | 100.0 | 3.0 | 250.00 | 100.00 |" in text
    latex = printed(tmp_path, capsys, "dataset=scifact", "cost=true", "format=latex")
    assert latex.count(r"\begin{tabular}") == 2
    assert r"LateOn & yes & MUVERA & 2.5 MB & 100.0 & 3.0 & 250.00 & 100.00 \\" in latex


def test_beside_an_index_there_are_bytes_of_a_document_and_its_recall():
    plain = muvera(10)
    details = {"documents": 1000, "index_recall": {"10": 0.5, "100": 0.875}}
    own = cell("muvera+index=pq", {"0": named([0.5] * 10)}, bytes={"tokens": 9, "index": 40_000}, details=details)
    alone, both = (costs.sections(measured(some), some, ["scifact"])[0].lines for some in ([plain], [plain, own]))
    assert "Bytes / document" not in alone.columns
    assert both["Bytes / document"].tolist() == ["–", "40"] and both["Recall@100 of exact"].tolist() == ["–", "87.5"]
