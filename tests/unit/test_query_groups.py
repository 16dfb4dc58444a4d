"""Groups of queries: who belongs to which third, and the scores of a group."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from cells import cell, drawn, plaid

from harness import records
from harness.cli import main
from harness.config import entries
from harness.data.dataset import Dataset
from harness.data.loading import load
from harness.system.errors import HarnessError
from harness.tables import query_groups

WORDS = {"a": "one", "b": "one two", "c": "one  two three", "d": "1 2 3 4", "e": "1 2 3 4 5", "f": "1 2 3 4 5 6"}
JUDGED = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1}, "d": {"x": 1, "y": 0}, "e": {"x": 2, "y": 1}, "f": {"x": 1}}
SCORES = {"a": 0.0, "b": 0.2, "c": 0.4, "d": 0.6, "e": 0.8, "f": 1.0}


@pytest.fixture
def dataset():
    return Dataset("s", {"y": "text", "x": "text"}, WORDS, JUDGED)


def names(by, dataset):
    return {group.name: "".join(group.numbers["s"]) for group in query_groups.groups(by, {"s": dataset})}


def test_queries_are_cut_into_thirds_and_equal_numbers_stay_together(dataset):
    assert names("query_length", dataset) == {"low": "ab", "middle": "cd", "high": "ef"}
    assert names("judged", dataset) == {"low": "abcf", "high": "de"}
    assert names("relevant", dataset) == {"low": "abcdf", "high": "e"}


@pytest.mark.parametrize("seed", range(20))
def test_thirds_are_those_of_a_slow_count(seed):
    """A query is beyond a cut if at least so many thirds of all queries have a number below its own."""
    rng = np.random.default_rng(seed)
    numbers = {f"q{i}": int(value) for i, value in enumerate(rng.integers(0, 5, size=int(rng.integers(1, 40))))}
    below = {query: sum(other < number for other in numbers.values()) for query, number in numbers.items()}
    cuts = {query: sum(3 * count >= part * len(numbers) for part in (1, 2)) for query, count in below.items()}
    assert query_groups._thirds(numbers) == [{q: numbers[q] for q in numbers if cuts[q] == i} for i in range(3)]


def test_the_scores_of_a_group_are_those_of_its_queries(dataset):
    values = [[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.2, 0.2, 0.2, 0.2, 0.2, 0.2]]
    record = drawn("muvera", {"0": values}, (1, 2), dataset="s", measures={"map": {"0": values[0]}})
    per_query = {**record.per_query, "queries": list(SCORES)}
    record = records.Record(**{**vars(record), "per_query": per_query})
    middle = query_groups.groups("query_length", {"s": dataset})[1]
    (found,) = middle.seen_in([record, cell("smve", {"0": SCORES}, dataset="other")])
    assert found.query_scores("0") == pytest.approx({"c": 0.3, "d": 0.4}) and found.ndcg10["0"] == pytest.approx(0.35)
    assert found.measures == {"map": {"0": [0.4, 0.6]}}
    np.testing.assert_array_equal(found.draws.ndcg10["0"], [[0.4, 0.6], [0.2, 0.2]])
    assert middle.title == "The middle third by words of the query: s 3 to 4 (2 queries)."


@pytest.fixture
def measured(tmp_path):
    """Words that show two written records on a data set in a folder."""
    folder = tmp_path / "s"
    (folder / "qrels").mkdir(parents=True)
    lines = [{"_id": name, "title": "", "text": "text"} for name in ("x", "y")]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    lines = [{"_id": name, "text": text} for name, text in WORDS.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pairs = [f"{query}\t{doc}\t{score}\n" for query, found in JUDGED.items() for doc, score in found.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(pairs))
    options = {**entries.entry("dataset", "local"), "name": "s", "path": str(folder)}
    identity = {"dataset": load(options, None, tmp_path).sha256}
    whole = {"identity": identity, "candidates": {}, "format": records.FORMAT}
    for record in (
        cell("muvera", {"0": SCORES}, dataset="s", model="m", **whole),
        plaid(dict.fromkeys(SCORES, 0.5), "s", model="m", **whole),
    ):
        records.write(tmp_path, record)
    return ["table", "by=query_length", f"dataset.path={folder}", f"results_dir={tmp_path}", "depths=[0]"]


def test_the_command_prints_a_table_for_each_group(measured, capsys):
    assert main(measured) == 0
    text = capsys.readouterr().out
    shown = [line.split("|")[5].strip() for line in text.splitlines() if "| MUVERA |" in line and "yes" in line]
    assert shown == ["10.00 (-40.0)", "50.00 (+0.0)", "90.00 (+40.0)"]
    titles = ["low third by words of the query: s 1 to 2 (2 queries)", "s 3 to 4 (2 queries)", "s 5 to 6 (2 queries)"]
    assert all(title in text for title in titles) and text.count("Mean NDCG@10 x 100 over s") == 1


def test_csv_has_the_group_in_its_first_column(measured, capsys):
    assert main([*measured, "format=csv", "significance=true"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "muvera" in line or line.startswith("group")]
    frame = pd.DataFrame([line.split(",") for line in lines[1:]], columns=lines[0].split(","))
    frame = frame[(frame["dataset"] == "s") & (frame["center"] == "yes")]
    assert list(frame["group"]) == ["low", "middle", "high"] and set(frame["n_queries"]) == {"2"}
    assert [float(value) for value in frame["ndcg10"]] == pytest.approx([10, 50, 90])


def test_other_data_and_options_that_do_not_fit_are_refused(measured, capsys, dataset):
    for more, sentence in (("cost=true", "no per_query or cost beside it"), ("by=length", "expected one of")):
        assert main([*measured, more]) == 2
        assert sentence in capsys.readouterr().err
    with pytest.raises(HarnessError, match="the data set 's' is not the one of its records"):
        query_groups.check({"s": dataset}, [cell("muvera", {"0": SCORES}, dataset="s")])
