"""The score of each query: exactly those of the records, of exactly the rows of the table."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from cells import cell, named, plaid

from harness import records, tables
from harness.cli import main
from harness.tables import titles

SETS = ["scifact", "arguana"]


@pytest.fixture
def some(rng):
    def scores():
        return named([float(value) for value in rng.random(5)])

    return [
        plaid(scores()),
        cell("muvera", {"0": scores(), "50": scores(), "1000": scores()}),
        cell("muvera", {"0": scores()}, dataset="arguana"),
        cell("smve", {"0": scores()}, center="own+max_queries=7"),
    ]


def lines(text):
    head, *body = csv.reader(StringIO(text))
    assert head == tables.table.QUERY_COLUMNS
    return body


def test_values_are_those_of_the_records_to_the_last_bit(some):
    rows = tables.rows_of(some, [], [], [])
    found = {tuple(line[:-1]): float(line[-1]) for line in lines(tables.per_query_csv(some, rows, SETS, [0, 50]))}
    expected = {}
    for record in some:
        for depth in record.ndcg10.keys() & {"0", "50", "final"}:
            for query, value in zip(record.per_query["queries"], record.per_query[depth], strict=True):
                center = titles.center_label(record.center)
                label = (record.dataset, query, record.model, center, record.method, depth.replace("final", ""))
                expected[label] = value
    assert found == expected and len(found) == 5 * 5
    assert {key[3] for key in found} == {"no", "yes", "own+max_queries=7"}


def test_rows_are_those_of_the_table(some):
    text = tables.per_query_csv(some, tables.rows_of(some, [], ["corpus"], ["muvera"]), ["arguana"], [0, 50])
    assert [line[:6] for line in lines(text)] == [
        ["arguana", f"q{i}", "lateon", "yes", "muvera", "0"] for i in range(5)
    ]


@pytest.mark.parametrize("style", ["markdown", "csv"])
def test_it_is_csv_and_nothing_else(tmp_path, capsys, some, style):
    for record in some:
        records.write(tmp_path, record)
    words = ["table", "model=lateon", "dataset=scifact", f"results_dir={tmp_path}", f"format={style}"]
    assert main([*words, "per_query=true"]) == 0
    assert len(lines(capsys.readouterr().out)) == 5 + 3 * 5 + 5


@pytest.mark.parametrize("word", ["format=latex", "significance=true", "cost=true"])
def test_it_does_not_go_with_what_is_not_csv(capsys, word):
    assert main(["table", "model=lateon", "per_query=true", word]) == 2
    assert capsys.readouterr().err == (
        "error: per_query=true: expected no format=latex, significance or cost beside it.\n"
    )
