"""Comparisons in tables: paired by id, families of their own, marks, counts, and what is said where data is missing."""

from __future__ import annotations

from io import StringIO
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from cells import cell, drawn, named, plaid

from harness import records, tables
from harness.cli import main
from harness.evaluation.significance import compare, holm
from harness.system.errors import HarnessError
from harness.tables import paired_tests, paired_tests_text

DEPTHS = [0, 50, 100]
HALF = named([0.5] * 10)


def above(count):
    """Scores on ten queries: `count` of them 0.1 above HALF, the others equal to it."""
    return named([0.6] * count + [0.5] * (10 - count))


@pytest.fixture
def some():
    """MUVERA beats PLAID on 10, 6 and 0 of the queries at rk=0, 50 and 100; SMVE is PLAID."""
    muvera = {"0": above(10), "50": above(6), "100": HALF}
    return [plaid(HALF), cell("muvera", muvera), cell("smve", dict.fromkeys(["0", "50", "100"], HALF))]


def rows(some, methods=()):
    return tables.rows_of(some, [], ["corpus"], list(methods))


def with_plaid(some, datasets=("scifact",), methods=()):
    found = paired_tests.tested(paired_tests.to_plaid(rows(some, methods), DEPTHS), some, datasets)
    return {(one.pair.row.method, one.pair.depth): one for one in found}


def between(some, datasets=("scifact",)):
    found = paired_tests.tested(paired_tests.between_methods(rows(some), DEPTHS), some, datasets)
    return {one.pair.depth: one for one in found}


def test_holm_is_over_the_family_of_the_table(some):
    """By hand: of 2^10 signs 2 are as extreme as 10 wins, of 2^6 2 as 6 wins. Family: three depths of MUVERA alone."""
    found = with_plaid(some, methods=["muvera"])
    assert [found["muvera", depth].difference.p for depth in "0 50 100".split()] == pytest.approx(
        [2 / 1024, 2 / 64, 1], abs=0.005
    )
    assert [one.p for one in found.values()] == pytest.approx([3 * 2 / 1024, 2 * 2 / 64, 1], abs=0.012)
    assert [one.differs for one in found.values()] == [True, False, False]  # without Holm, 6 wins would be marked


def test_each_family_is_corrected_by_itself(some):
    """SMVE's three differences make the first family six; between the methods there are three, whatever PLAID has."""
    raw = {key: one.difference.p for key, one in with_plaid(some).items()}
    assert len(raw) == 6
    assert [one.p for one in with_plaid(some).values()] == pytest.approx(holm(list(raw.values())))
    pairs = between(some)
    assert [one.p for one in pairs.values()] == pytest.approx(holm([one.difference.p for one in pairs.values()]))
    assert pairs["0"].p == pytest.approx(with_plaid(some)["muvera", "0"].p / 2)
    assert pairs["0"].pair.row.method == "muvera" and pairs["0"].pair.other.method == "smve"


def test_pairs_that_are_tested_at_once_change_nothing(some, monkeypatch):
    together = with_plaid(some)
    monkeypatch.setattr(paired_tests, "_AT_ONCE", 4)
    assert len(together) == 6 and with_plaid(some) == together


def test_of_a_methods_variants_only_those_without_shipped_options_are_compared(some):
    every = dict.fromkeys(["0", "50", "100"], HALF)
    others = [cell(name, every) for name in ("muvera+bits=4", "lemur+features=64", "binary")]
    pairs = paired_tests.between_methods(tables.rows_of([*some, *others], [], ["corpus"], []), [50])
    found = {frozenset((pair.row.method, pair.other.method)) for pair in pairs}
    stages = ("muvera", "smve", "lemur+features=64", "binary")
    assert found == {frozenset(pair) for pair in combinations(stages, 2)} and len(pairs) == 6


def test_a_comparison_is_that_of_its_queries(rng):
    """Two sets of different sizes: the difference of the tables' means, and the test of the differences by query."""
    first, second = ({name: rng.random(n).round(3) for name, n in (("scifact", 30), ("arguana", 9))} for _ in "ab")
    some = [plaid(named(list(values)), name) for name, values in second.items()]
    some += [cell("muvera", {"0": named(list(values))}, dataset=name) for name, values in first.items()]
    (one,) = paired_tests.tested(paired_tests.to_plaid(rows(some, ["muvera"]), [0]), some, ["scifact", "arguana"])
    # Ids in the order of text, in which the seeded resamples take them.
    order = {name: np.argsort([f"q{i}" for i in range(len(values))]) for name, values in first.items()}
    assert one.difference == compare({name: 100 * (first[name] - second[name])[order[name]] for name in first})
    table = tables.long_form(some, rows(some, ["muvera"]), ["scifact", "arguana"], [0])
    delta = table[(table["dataset"] == "mean") & (table["method"] == "muvera")]["delta"]
    assert one.difference.delta == pytest.approx(delta.item()) and one.difference.n_queries == 39


def test_pairs_are_by_query_id_not_by_place(some, rng):
    order = [str(query) for query in rng.permutation(list(HALF))]
    values = {"0": above(10), "50": above(6), "100": HALF}
    moved = {depth: {query: scores[query] for query in order} for depth, scores in values.items()}
    shuffled = [some[0], cell("muvera", moved), some[2]]
    assert shuffled[1].per_query["queries"] != some[1].per_query["queries"]
    assert with_plaid(shuffled) == with_plaid(some) and between(shuffled) == between(some)


def test_queries_are_won_tied_and_lost():
    base = [0.5] * 6
    other = [0.5 + 1e-6, 0.5 + 5e-10, 0.5 - 5e-10, 0.5, 0.4, 0.3]
    one = with_plaid([plaid(named(base)), cell("muvera", {"0": named(other)})])["muvera", "0"]
    assert (one.wins, one.ties, one.losses) == (1, 3, 2)


def test_no_plaid_no_mark(some):
    found = with_plaid(some[1:])
    assert found == {} and paired_tests_text.marks([]) == {}
    assert "was measured" in paired_tests_text.remark([], ["scifact"])
    (section,) = paired_tests_text.sections([], list(between(some[1:]).values()), ["scifact"])
    assert section.caption.startswith("Methods against each other") and len(section.lines) == 3


def test_where_plaid_lacks_a_set_the_others_are_compared_and_it_is_said(some):
    sets = ["scifact", "arguana"]
    both = [*some, cell("muvera", {"0": above(1), "50": HALF, "100": HALF}, dataset="arguana")]
    found = with_plaid(both, sets, ["muvera"])
    assert found == with_plaid(some, sets, ["muvera"]) and found["muvera", "0"].datasets == ("scifact",)
    assert "3 of them are over the data sets that both sides have, not all 2." in paired_tests_text.remark(
        list(found.values()), sets
    )
    counts, *_ = paired_tests_text.sections(list(found.values()), [], sets)
    assert list(counts.lines["Model"]) == ["LateOn [1 of 2 sets]"]
    # The table itself has no difference there, so no mark either.
    table = tables.long_form(both, rows(both, ["muvera"]), sets, DEPTHS)
    assert "*" not in tables.markdown(table, sets, paired_tests_text.marks(list(found.values())))


def test_a_depth_that_one_set_lacks_is_not_compared(some):
    sets = ["scifact", "arguana"]
    both = [*some, plaid(HALF, "arguana"), cell("muvera", {"0": above(1)}, dataset="arguana")]
    assert list(with_plaid(both, sets, ["muvera"])) == [("muvera", "0")]


def test_a_large_family_gets_resamples_for_its_smallest_p():
    assert paired_tests.resamples(37) == 10_000
    for family in (1_000, 5_000):
        assert family / (paired_tests.resamples(family) + 1) < paired_tests.LEVEL / 4


def test_different_queries_are_refused(some):
    for others in (named([0.5] * 9), {f"x{i}": 0.5 for i in range(10)}):
        with pytest.raises(HarnessError, match="model 'lateon' on 'scifact' have different queries: muvera"):
            with_plaid([plaid(others), *some[1:]])


def test_scores_that_are_not_one_a_query_are_refused(some):
    some[1].per_query["0"].pop()
    with pytest.raises(HarnessError, match="has 9 scores at depth 0 for 10 queries, expected one for each"):
        with_plaid(some)


def printed(tmp_path, capsys, some, *words):
    for record in some:
        records.write(tmp_path, record)
    places = [f"results_dir={tmp_path}"]
    code = main(["table", "model=lateon", "dataset=scifact", "depths=[0,50,100]", *places, *words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_markdown(tmp_path, capsys, some):
    exact = cell("exact", {"final": named([0.5] * 9 + [0.4])}, "none")
    _, plain, _ = printed(tmp_path, capsys, [*some, exact])
    code, text, _ = printed(tmp_path, capsys, [], "significance=true")
    lines = text.splitlines()
    assert code == 0 and [line for line in plain.splitlines() if line not in lines] == [
        "| LateOn | yes | 50.00 | MUVERA | 60.00 (+10.0) | 56.00 (+6.0) | 50.00 (+0.0) |"
    ]
    assert "| LateOn | yes | 50.00 | MUVERA | 60.00 (+10.0*) | 56.00 (+6.0) | 50.00 (+0.0) |" in lines
    assert "with Holm's correction over the 7 differences to PLAID." in text
    assert "| LateOn | yes | MUVERA | 10 | 10 / 0 / 0 | 6 / 4 / 0 | 0 / 10 / 0 |" in lines
    assert "exact MaxSim, LateOn: 0 / 9 / 1." in lines
    found = [line for line in lines if line.startswith("| LateOn | yes | MUVERA | SMVE |")]
    assert [line.split(" | ")[4:6] for line in found] == [["0", "+10.00*"], ["50", "+6.00"], ["100", "+0.00"]]
    assert found[0].endswith("| 10 / 0 / 0 |") and "+10.00 to +10.00" in found[0]
    assert "with Holm's correction over the 3 differences between methods." in text


def test_off_is_the_table_as_it_was(tmp_path, capsys, some):
    _, text, _ = printed(tmp_path, capsys, some)
    table = tables.long_form(some, tables.rows_of(some, ["lateon"], [], []), ["scifact"], DEPTHS)
    said = tables.remarks(table, some, "scifact", ["scifact"])
    assert text == "\n\n".join([tables.markdown(table, ["scifact"]), *said]) + "\n\n" and "*" not in text


def test_latex(tmp_path, capsys, some):
    _, text, _ = printed(tmp_path, capsys, some, "significance=true", "format=latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    assert "MUVERA & 60.00 (+10.0*) & 56.00 (+6.0)" in text and r"95 \% interval" in text
    inside, columns = False, 0
    for line in text.splitlines():
        inside = (inside or line.startswith(r"\begin")) and not line.startswith(r"\end")
        if line.endswith(r"\\"):
            assert inside and line.count(" & ") < columns
        elif line.startswith(r"\begin"):
            columns = len(line.split("{")[2].rstrip("}"))
        else:
            assert line.startswith(("%", "\\")) or not line


def test_csv(tmp_path, capsys, some):
    _, plain, _ = printed(tmp_path, capsys, some, "format=csv")
    _, text, _ = printed(tmp_path, capsys, [], "format=csv", "significance=true")
    frame = pd.read_csv(StringIO(text), dtype={"depth": str})
    before = pd.read_csv(StringIO(plain), dtype={"depth": str})
    assert list(frame.columns) == [*before.columns, *paired_tests.TESTED]
    pd.testing.assert_frame_equal(frame[: len(before)][before.columns], before)
    line = frame[(frame["method"] == "muvera") & (frame["depth"] == "50") & (frame["center"] == "yes")]
    line = line[line["dataset"] == "mean"].set_index("versus")
    assert list(line.index) == ["plaid", "smve"]
    assert line.loc["smve", "delta"] == 6 and line.loc["plaid", "p"] == pytest.approx(5 * 2 / 64, abs=0.03)
    assert line["ci_low"].between(0, 6).all() and line["ci_high"].between(6, 10).all()
    assert line[paired_tests.COUNTS].to_numpy().tolist() == [[6, 4, 0, 10]] * 2
    assert ",6,4,0,10," in text  # whole numbers
    assert frame[frame["method"] == "plaid"][paired_tests.TESTED].isna().all(axis=None)


def test_a_mean_over_fewer_sets_has_no_test_in_csv(some):
    sets = ["scifact", "arguana"]
    table = tables.long_form(some, rows(some), sets, DEPTHS)
    text = tables.csv(paired_tests.columns(table, some, rows(some), sets, DEPTHS))
    frame = pd.read_csv(StringIO(text), dtype={"depth": str})
    assert frame[frame["dataset"] == "mean"][paired_tests.TESTED].isna().all(axis=None)
    assert set(frame[frame["dataset"] == "scifact"]["versus"].dropna()) == {"plaid", "smve"}


def test_different_queries_are_one_sentence_and_exit_code_2(tmp_path, capsys, some):
    code, out, err = printed(tmp_path, capsys, [plaid(named([0.5] * 9)), *some[1:]], "significance=true")
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "muvera (center corpus) has 10, plaid (center none) has 9, and 9 are in both" in err
    assert "measure both again with overwrite=true." in err


def test_draws_count_as_queries_do(rng):
    """Draws that differ by more than the methods: no difference is seen, unless draws are compared one by one."""
    queries, effect = rng.normal(0.5, 0.02, 40), np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    first = 0.5 + effect[:, None] + queries * 0.1
    second = first + 0.03 + rng.normal(0, 0.01, first.shape)
    pair = paired_tests.Pair(tables.Row("lateon", "corpus", "smve"), tables.Row("lateon", "corpus", "muvera"), "0")

    def tested(first_seeds, second_seeds):
        records = [drawn("muvera", {"0": first}, first_seeds), drawn("smve", {"0": second}, second_seeds)]
        (found,) = paired_tests.tested([pair], records, ["scifact"])
        return found

    apart, together = tested((1, 2, 3, 4, 5), (6, 7, 8, 9, 10)), tested((1, 2, 3, 4, 5), (1, 2, 3, 4, 5))
    assert apart.difference.delta == pytest.approx(together.difference.delta) == pytest.approx(3, abs=0.3)
    assert not apart.differs and apart.difference.ci_low < -15 and apart.difference.detectable > 25
    assert together.differs and together.difference.ci_low > 2 and together.difference.detectable < 1
    assert (apart.wins, apart.losses) == (together.wins, together.losses)
    records = [cell("muvera", {"0": named(first.mean(axis=0).tolist())}), drawn("smve", {"0": second}, (1, 2, 3, 4, 5))]
    (mixed,) = paired_tests.tested([pair], records, ["scifact"])
    assert not mixed.differs and together.difference.ci_low > mixed.difference.ci_low > apart.difference.ci_low
