"""Suites and their groups: the sets of BEIR as configuration, and a group as one data set of a mean."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import reference
from cells import cell, drawn, named, plaid
from omegaconf import OmegaConf

from harness import records, tables
from harness.cli import main
from harness.config import compose, entries, suites
from harness.config.measures import Measure
from harness.data import loading
from harness.measure.grouping import selected
from harness.report.cell_commands import Commands
from harness.system.errors import HarnessError
from harness.tables import costs, paired_tests

FORUMS = suites.members("cqadupstack")
UNITS = {"scifact": ["scifact"], "pair": ["arguana", "nfcorpus"]}
ROW = tables.Row("lateon", "corpus", "muvera")


def test_the_suites_of_beir_have_the_sizes_that_were_published():
    beir14, beir15 = suites.units("beir14"), suites.units("beir15")
    assert len(beir14) == 14 and len(beir15) == 15
    assert beir15 == {**beir14, "cqadupstack": FORUMS} and len(FORUMS) == 12
    assert list(beir15) == sorted(beir15) and {*suites.units("beir8")} < {*beir14}
    assert entries.entry("dataset", "msmarco")["split"] == "dev"
    found = {name: entries.entry("dataset", name) for name in suites.flat(beir15)}
    forums = [found[name] for name in FORUMS]
    assert sum(forum["queries"] for forum in forums) == 13_145  # BEIR's README, for all of them together
    assert round(sum(forum["docs"] for forum in forums), -3) == 457_000
    assert len({forum["archive"] for forum in forums}) == 12 and len({forum["md5"] for forum in forums}) == 1
    for name, options in found.items():
        assert len(options["md5"]) == 32 and options["qrels"] >= options["queries"], name


def test_the_decontaminated_sets_are_those_of_beir8_and_smaller():
    for name, original in zip(suites.units("beir8_decontaminated"), suites.units("beir8"), strict=True):
        found, whole = entries.entry("dataset", name), entries.entry("dataset", original)
        assert name == f"{original}-decontaminated" and found["query_length"] == whole["query_length"]
        assert found["docs"] < whole["docs"] and found["queries"] <= whole["queries"]
        assert (found["qrels"] or 1) <= whole["qrels"] and found["md5"] is None


def test_a_run_takes_each_data_set_of_a_group():
    options = OmegaConf.to_container(compose.composed(["suite=beir15"]), resolve=True)
    names = [entry["name"] for entry in selected(options)]
    assert len(names) == 26 and {*FORUMS} < {*names} and "cqadupstack" not in names
    swept = compose.composed(["experiment=card_beir"])
    assert swept.suite.name == "beir15"


def test_a_group_is_no_data_set_and_no_suite_has_an_unknown_one():
    with pytest.raises(HarnessError, match="unknown data set 'cqadupstack'; did you mean"):
        compose.composed(["dataset=cqadupstack"])
    with pytest.raises(HarnessError, match="unknown dataset 'nothing'"):
        selected(
            {
                "model": entries.entry("model", "demo"),
                "dataset": None,
                "suite": {"name": "x", "datasets": ["scifact", "nothing"]},
            }
        )


def test_a_forum_is_found_inside_the_folder_of_its_archive(tmp_path, monkeypatch):
    forum = entries.entry("dataset", "cqadupstack-tex")
    (tmp_path / "beir" / "cqadupstack" / "tex").mkdir(parents=True)
    assert loading.local(forum, str(tmp_path), tmp_path / "cache") == tmp_path / "beir" / "cqadupstack" / "tex"
    asked = []
    monkeypatch.setattr(loading, "download", lambda name, md5, target, show: asked.append(name) or target / name)
    found = loading.folder(forum, None, tmp_path / "cache")
    assert asked == ["cqadupstack"] and found == tmp_path / "cache" / "beir" / "cqadupstack" / "tex"
    for outside in ("../x", "/etc", "cqadupstack/..", "a//b"):
        with pytest.raises(HarnessError, match="dataset.archive=.*expected a name"):
            loading.local({**forum, "archive": outside}, str(tmp_path), tmp_path / "cache")


def scores(rng, sizes):
    return {name: named(rng.random(size).tolist()) for name, size in sizes.items()}


@pytest.fixture
def measured(rng):
    """A first stage and PLAID on a data set and on a group of two, with scores of each query."""
    sizes = {"scifact": 5, "arguana": 2, "nfcorpus": 11}
    first, other = scores(rng, sizes), scores(rng, sizes)
    cost = {"seconds": {"muvera_search": 2.0}, "bytes": {"index": 10}, "host": {"cpu": "x"}}
    found = [cell("muvera", {"0": own}, dataset=name, **cost) for name, own in first.items()]
    return first, other, [*found, *(plaid(own, dataset=name) for name, own in other.items())]


def mean_of(by_dataset):
    return reference.mean_over_units(
        {unit: {name: by_dataset[name] for name in members} for unit, members in UNITS.items()}
    )


def test_the_mean_counts_a_group_once(measured):
    first, other, found = measured
    table = tables.long_form(records.with_groups(found, UNITS), [ROW], list(UNITS), [0]).set_index("dataset")
    assert table["ndcg10"]["mean"] == pytest.approx(100 * mean_of(first))
    assert table["plaid"]["mean"] == pytest.approx(100 * mean_of(other))
    assert list(table.index) == ["scifact", "pair", "mean"]
    assert table["ndcg10"]["mean"] != pytest.approx(100 * np.mean([np.mean([*own.values()]) for own in first.values()]))


def test_a_group_that_lacks_a_data_set_is_missing(measured):
    partial = [record for record in measured[2] if (record.method, record.dataset) != ("muvera", "nfcorpus")]
    table = tables.long_form(records.with_groups(partial, UNITS), [ROW], list(UNITS), [0]).set_index("dataset")
    assert np.isnan(table["ndcg10"]["pair"]) and not np.isnan(table["plaid"]["pair"])
    assert records.with_groups(partial, {"scifact": ["scifact"]}) == partial


def test_a_group_has_the_further_measures_that_all_its_data_sets_have(rng):
    members = ("arguana", "nfcorpus")
    first = {"arguana": [[0.2, 0.4], [0.6, 0.4]], "nfcorpus": [[1.0], [0.0]]}  # [draws][queries]
    found = []
    for name, values in first.items():
        recall = np.array(values)
        one = drawn("muvera", {"0": recall / 2}, (1, 2), dataset=name)
        draws = replace(one.draws, measures={"recall@100": {"0": recall}})
        mean = {"recall@100": {"0": recall.mean(axis=0).tolist()}}
        found.append(
            replace(one, draws=draws, measures={**mean, **({"map": mean["recall@100"]} if name == "arguana" else {})})
        )
    group = records.with_groups(found, {"pair": list(members)})[-1]
    assert group.dataset == "pair" and group.measures.keys() == {"recall@100"}
    seen = group.seen_by(Measure.of("recall@100"))
    assert seen.ndcg10["0"] == pytest.approx((0.4 + 0.5) / 2)
    assert seen.draws.means_at("0") == pytest.approx([(0.3 + 1) / 2, (0.5 + 0) / 2])


def test_tests_and_costs_take_a_group_as_one_data_set(measured):
    first, other, found = measured
    grouped = records.with_groups(found, UNITS)
    (test,) = paired_tests.tested(paired_tests.to_plaid([ROW], [0]), grouped, list(UNITS))
    assert test.datasets == ("scifact", "pair")
    assert test.difference.delta == pytest.approx(100 * (mean_of(first) - mean_of(other)))
    assert test.wins + test.ties + test.losses == 18
    cost = costs.measured(grouped, [ROW], list(UNITS))[ROW]
    assert cost["pair"].index_bytes == 20 and cost["pair"].first_stage_ms == pytest.approx(1000 * 4 / 13)


def test_the_spread_of_a_group_is_that_of_its_means():
    low, high = [[0.2, 0.4], [0.4, 0.6]], [[0.1], [0.5]]
    found = [
        drawn("muvera", {"0": low}, (1, 2), dataset="arguana"),
        drawn("muvera", {"0": high}, (1, 2), dataset="nfcorpus"),
    ]
    table = tables.long_form(records.with_groups(found, UNITS), [ROW], ["pair"], [0]).set_index("dataset")
    assert table["ndcg10"]["mean"] == pytest.approx(40 / 2 + 30 / 2)
    assert table["sd"]["pair"] == pytest.approx(100 * np.std([(0.3 + 0.1) / 2, (0.5 + 0.5) / 2], ddof=1))
    other = [found[0], replace(found[1], draws=replace(found[1].draws, seeds=(2, 9)))]
    table = tables.long_form(records.with_groups(other, UNITS), [ROW], ["pair"], [0]).set_index("dataset")
    assert table["draws"]["pair"] == 1


@pytest.fixture
def forums(tmp_path, rng):
    """A folder with PLAID's records on the twelve forums, and DenseOn's on eleven of them."""
    made = {name: named(rng.random(3 + place).round(3).tolist()) for place, name in enumerate(FORUMS)}
    for name, own in made.items():
        same = {"started": "2026-11-01T00:00:00+00:00", "format": records.FORMAT, "seeds": {"method": 42}}
        config = {"dataset": {"name": name}, "model": entries.entry("model", "lateon")}
        records.write(tmp_path, plaid(own, dataset=name, config=config, candidate_recall={}, **same))
        if name != FORUMS[-1]:
            made_of = {"center": "none", "dataset": name, "config": config, **same}
            records.write(tmp_path, cell("dense+model=denseon", {"0": own}, **made_of))
    return tmp_path, 100 * reference.mean_over_units({"cqadupstack": made})


def test_the_second_table_has_a_column_for_the_group(forums, capsys):
    results, expected = forums
    words = [f"results_dir={results}", "model=lateon", "method=plaid,dense", "depths=[0]"]
    assert main(["table", "suite=beir15", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    columns = [part.strip() for part in lines[0].strip("|").split("|")]
    assert columns == ["Model", "Method", *suites.units("beir15"), "Mean"]
    rows = [
        dict(zip(columns, (part.strip() for part in line.strip("|").split("|")), strict=True)) for line in lines[2:4]
    ]
    assert (rows[0]["Model"], rows[0]["cqadupstack"], rows[0]["Mean"]) == ("LateOn", f"{expected:.2f}", "–")
    assert (rows[1]["Model"], rows[1]["Method"], rows[1]["cqadupstack"]) == ("–", "dense model=denseon", "–")
    assert "cqadupstack is the mean over its 12 data sets, and counts as one." in lines
    assert main(["table", "suite=beir15", *words, "format=latex"]) == 0
    assert r"\begin{tabular}{ll" + "r" * 16 + "}" in capsys.readouterr().out


def test_the_forums_are_a_suite_of_their_own(forums, capsys):
    results, expected = forums
    assert main(["table", f"results_dir={results}", "format=csv", "method=plaid"]) == 0
    long = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert [*long["dataset"]] == [*FORUMS, "mean"] and long["ndcg10"].iloc[-1] == pytest.approx(expected, abs=1e-4)
    assert main(["table", "suite=beir15", f"results_dir={results}", "per_query=true", "method=plaid"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {line["dataset"] for line in lines} == {*FORUMS}


def test_the_command_of_a_group_is_that_of_its_suite(forums):
    results, _ = forums
    units = suites.units("beir15")
    found = records.with_groups(records.read_all(results), units)
    commands = Commands(found, "beir15", list(units))
    row = tables.Row("lateon", "none", "plaid")
    assert "run suite=cqadupstack model=lateon method=plaid" in commands.of_cell(row, "cqadupstack")
    assert "run suite=beir15 model=lateon method=plaid" in str(commands.of_row(row))
