"""How far an experiment is: before, while and after it runs, when cells fail, and what time is left."""

from __future__ import annotations

import shutil

import pytest
from cells import cell
from holders import MEASURING, holding

from harness import records, run
from harness.cli import main
from harness.config import compose, entries
from harness.records import CellKey, failures
from harness.sweep import estimate
from harness.sweep import status as status_module
from harness.sweep.estimate import Size
from harness.system import locks

HOST = {"cpu": "abacus", "cores": 2}


@pytest.fixture
def words(lateon_like, tiny_dataset, tmp_path):
    """A sweep of four cells; model and data set may be changed."""
    model = shutil.copytree(lateon_like, tmp_path / "lateon-like")
    data = shutil.copytree(tiny_dataset, tmp_path / "tiny")
    found = [f"model.path={model}", f"dataset.path={data}", f"results_dir={tmp_path / 'r'}", "progress=false"]
    return [
        *found,
        f"cache_dir={tmp_path / 'c'}",
        "depths=[0,5]",
        "-m",
        "center=none,corpus",
        "method=smve,exact,plaid",
    ]


def status(words, capsys):
    """(Done, running, failed, missing) of the only line, its time left, and all of the text."""
    capsys.readouterr()
    assert main(["status", *words]) == 0
    text = capsys.readouterr().out
    (line,) = [line for line in text.splitlines() if line.startswith("| lateon-like | tiny |")]
    *counts, left = [part.strip() for part in line.split("|")[3:-1]]
    return tuple(map(int, counts)), left, text


def test_before_during_and_after(words, tmp_path, capsys):
    counts, left, text = status(words, capsys)  # smve twice; exact search and PLAID do not depend on the centering
    assert counts == (0, 0, 0, 4) and left == "unknown" and "0 of 4 cells done. Time left: unknown." in text
    with holding(MEASURING, tmp_path / "c", "tiny", "lateon-like"):
        assert status(words, capsys)[0] == (0, 4, 0, 0)
    with holding(MEASURING, tmp_path / "c", "other", "lateon-like"):
        assert status(words, capsys)[0] == (0, 0, 0, 4)
    assert main(["run", *words[:-3], "method=exact", "reference=null"]) == 0
    assert status(words, capsys)[0] == (1, 0, 0, 3)
    assert main(["run", *words]) == 0
    counts, left, text = status(words, capsys)
    assert counts == (4, 0, 0, 0) and left == "none" and "4 of 4 cells done. Time left: none." in text
    deeper = [word.replace("[0,5]", "[0,5,50]") for word in words]
    counts, left, _ = status(deeper, capsys)
    assert counts == (0, 0, 0, 4) and left.startswith("about ")


def test_a_run_is_seen_as_running_while_it_measures(words, tmp_path, monkeypatch):
    seen = []
    measure = run.measure

    def watched(testbed, requests):
        seen.append(locks.measured_now(testbed.options.cache))
        return measure(testbed, requests)

    monkeypatch.setattr(run, "measure", watched)
    assert main(["run", *words[:-3], "method=exact", "reference=null"]) == 0
    assert seen == [{("tiny", "lateon-like")}] and locks.measured_now(tmp_path / "c") == set()
    assert not list((tmp_path / "c" / "locks").rglob("*.lock"))


NOTHING = status_module.Progress("", "", {}, {}, 0.0, 0, False)


def test_draws_that_are_asked_for_count_and_not_those_of_the_reference(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(status_module, "_line", lambda cells, *_: seen.update(cells) or NOTHING)
    words = ["model=demo", "suite=demo", f"results_dir={tmp_path}", f"cache_dir={tmp_path}"]
    words.append("method.seeds={plaid:5,muvera:10}")
    status_module.progress([compose.composed([*words, f"method={name}"]) for name in ("plaid", "muvera")])
    assert {key.method: len(seeds) for key, seeds in seen.items()} == {"plaid": 5, "muvera": 10}


def test_a_lock_that_another_user_holds_is_seen(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    lock = tmp_path / "one.lock"
    with locks.held(lock):
        monkeypatch.setattr(locks, "FileLock", denied)
        assert locks.is_held(lock)
    assert not locks.is_held(lock)


def test_a_failure_of_all_cells_is_listed_until_they_succeed(words, tmp_path, capsys):
    (tmp_path / "tiny").rename(tmp_path / "away")
    assert main(["run", *words]) == 1
    counts, _, text = status(words, capsys)
    assert counts == (0, 0, 4, 0)
    assert f"tiny  lateon-like  corpus  smve: the data set folder {tmp_path / 'tiny'} does not exist" in text
    with holding(MEASURING, tmp_path / "c", "tiny", "lateon-like"):  # it is being tried again
        counts, _, text = status(words, capsys)
        assert counts == (0, 4, 0, 0) and "Failed:" not in text
    (tmp_path / "away").rename(tmp_path / "tiny")
    assert main(["run", *words]) == 0
    counts, _, text = status(words, capsys)
    assert counts == (4, 0, 0, 0) and "Failed:" not in text
    assert not [path for path in (tmp_path / "r" / "failures").rglob("*") if path.is_file()]


def test_a_failure_of_one_method_is_its_own(words, tmp_path, capsys):
    words = [*words[:-2], "center=none", "method=smve,plaid"]
    few = [*words[:-2], "method=plaid", "method.n_full_scores=16"]
    assert main(["run", *words]) == 0 and main(["run", *few]) == 1
    assert status(words, capsys)[0] == (2, 0, 0, 0)
    counts, _, text = status(few, capsys)
    assert counts == (0, 0, 1, 0) and "plaid+n_full_scores=16: PLAID with n_full_scores=16 returns at most 4" in text


def test_a_failure_beside_a_good_record_goes_when_the_record_is_good_again(words, tmp_path, capsys):
    single = [*words[:-3], "method=exact", "reference=null"]
    names = CellKey("tiny", "lateon-like", "none", "exact")
    assert main(["run", *single]) == 0
    more = tmp_path / "lateon-like" / "more.txt"
    more.write_text("one more file that a checkpoint is made of")
    capsys.readouterr()
    assert main(["run", *single]) == 1 and not capsys.readouterr().out  # the record is not of these weights
    assert "was made with different weights" in failures.read(tmp_path / "r", names)
    assert status(single, capsys)[0] == (1, 0, 0, 0)  # done by what is recorded; `run` is for the inputs
    more.unlink()
    assert main(["run", *single]) == 0 and failures.read(tmp_path / "r", names) is None


def test_nothing_is_loaded_or_encoded(tmp_path, capsys):
    """A model without weights here, of data sets that are not here either."""
    places = [f"results_dir={tmp_path / 'r'}", f"cache_dir={tmp_path / 'c'}", "data_dir=null", "models_dir=null"]
    assert main(["status", "model=lateon", "suite=beir3", *places]) == 0
    text = capsys.readouterr().out
    assert text.count("| lateon | ") == 3 and text.count("| 0 | 0 | 0 | 2 | unknown |") == 3
    assert not list(tmp_path.glob("c/tokens")) and not (tmp_path / "r").exists()


def test_a_damaged_record_is_a_sentence(words, tmp_path, capsys):
    path = records.record_path(tmp_path / "r", "tiny", "lateon-like", "none", "exact")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert main(["status", *words]) == 2
    assert f"error: the record {path} is damaged" in capsys.readouterr().err


def measured(method, seconds, tokens=1000, queries=10, center="corpus", **others):
    scores = {f"q{i}": 0.5 for i in range(queries)}
    facts = {"details": {"document_tokens": tokens}, "candidates": {"asked": 100}, "host": HOST, "seconds": seconds}
    return cell(method, {"0": scores}, center, **{**facts, **others})


SMVE = {
    "encode_documents": 100.0,
    "encode_queries": 2.0,
    "smve_encode_documents": 8.0,
    "smve_search": 4.0,
    "rerank": 6.0,
}
SMVES = ("none  smve", "corpus  smve")
WANTED = CellKey("nfcorpus", "lateon", "corpus", "smve")


@pytest.mark.parametrize(
    ("size", "encoded", "expected"),
    [
        (Size(1000, 10, 100), True, 8 + 4 + 6),
        (Size(1000, 10, 100), False, 100 + 2 + 8 + 4 + 6),
        (Size(3000, 10, 100), False, 300 + 2 + 24 + 12 + 6),
        (Size(1000, 20, 100), False, 100 + 4 + 8 + 8 + 12),
        (Size(1000, 10, 200), True, 8 + 4 + 12),
        (Size(None, 10, 100), True, None),
        (Size(1000, None, 100), True, None),
    ],
)
def test_phases_are_scaled_by_what_they_go_through(size, encoded, expected):
    assert estimate.seconds_left({WANTED: 1}, size, encoded, [measured("smve", SMVE)]) == pytest.approx(expected)


def test_only_the_same_model_and_method_on_a_host_like_this_are_comparable():
    size = Size(1000, 10, 100)
    for record in (measured("muvera", SMVE), measured("smve", SMVE, model="other")):
        assert estimate.seconds_left({WANTED: 1}, size, True, [record]) is None
    slower = measured("muvera", {"rerank": 600.0, "evaluate": 50.0})  # phases of a name, of another method
    assert estimate.seconds_left({WANTED: 1}, size, True, [slower, measured("smve", SMVE)]) == pytest.approx(8 + 4 + 6)
    kept = measured("smve", SMVE)
    others = [measured("smve", SMVE, host=host) for host in ({**HOST, "cores": 4}, {**HOST, "gpu": "one"})]
    assert estimate.of_host([kept, *others], {**HOST, "threads": 1, "system": "any"}) == [kept]


def test_the_median_of_several_records_counts():
    found = [measured("smve", {"smve_search": seconds}) for seconds in (1.0, 3.0, 50.0)]
    assert estimate.seconds_left({WANTED: 1}, Size(1000, 10, 100), True, found) == pytest.approx(3)


def test_what_cells_share_counts_once():
    size, found = Size(1000, 10, 100), [measured("smve", SMVE), measured("exact", {"exact_search": 5.0}, center="none")]
    own, none, exact = (
        CellKey("nfcorpus", "lateon", *rest) for rest in (("own", "smve"), ("none", "smve"), ("none", "exact"))
    )
    left = estimate.seconds_left
    assert left({WANTED: 1, own: 1}, size, True, found) == pytest.approx(8 + 4 + 6)  # documents are centered alike
    assert left({WANTED: 5, own: 5}, size, True, found) == pytest.approx(5 * (8 + 4) + 6)  # draws share MaxSim alone
    assert left({WANTED: 1, none: 1}, size, True, found) == pytest.approx(2 * (8 + 4) + 6)
    assert left({WANTED: 1, exact: 1}, size, True, found) == pytest.approx(8 + 4 + 6)  # one MaxSim pass, the longer
    assert left({}, size, True, []) == 0
    assert left({WANTED: 1, CellKey("nfcorpus", "lateon", "none", "plaid"): 1}, size, True, found) is None


def test_plaid_searches_by_queries_alone():
    found = [measured("plaid", {"plaid_encode_documents": 30.0, "plaid_search": 7.0}, center="none")]
    cells = {CellKey("nfcorpus", "lateon", "none", "plaid"): 1}
    assert estimate.seconds_left(cells, Size(2000, 20, 100), True, found) == pytest.approx(60 + 14)


def test_a_method_that_reads_texts_takes_time_by_documents_and_encodes_only_what_is_reranked():
    """Its records at rk=0 have no tokens."""
    seconds = {"center": 0.1, "dense_encode_documents": 30.0, "dense_search": 7.0, "evaluate": 1.0}
    found = [measured("dense", seconds, center="none", details={"documents": 500})]
    cells, size = {CellKey("nfcorpus", "lateon", "none", "dense"): 1}, Size(None, 10, 0, 1000)
    assert estimate.seconds_left(cells, size, False, found) == pytest.approx(60 + 14 + 1)
    assert estimate.seconds_left(cells, Size(None, 10, 100, 1000), False, found) is None  # texts must be encoded


def test_of_what_was_never_encoded_the_length_is_guessed_and_of_other_methods_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("harness.system.provenance.host", lambda device: HOST)
    facts = {"document_tokens": 1000, "documents": 10}
    records.write(tmp_path / "r", measured("smve", {**SMVE, "evaluate": 1.0}, details=facts, dataset="scifact"))
    words = [f"results_dir={tmp_path / 'r'}", f"cache_dir={tmp_path / 'c'}", "depths=[0,100]", "reference=null"]
    words += ["-m", "model=lateon", "suite=beir3", "method=muvera,smve"]
    assert main(["status", *words]) == 0
    text = capsys.readouterr().out
    docs, queries = (entries.entry("dataset", "nfcorpus")[name] for name in ("docs", "queries"))
    seconds = 10.8 * docs + queries * (2.0 + 1.0 + 6.0 + 0.4 * docs) / 10
    assert f"| nfcorpus | 0 | 0 | 0 | 2 | roughly {seconds / 3600:.1f} h, and unknown for 1 cell |" in text
    assert "Time left: roughly " in text and "unknown for 3 cells." in text and "Missing" not in text.split("\n\n")[1]


def test_missing_cells_are_named_where_others_are_not_missing(words, capsys):
    assert main(["run", *words[:-3], "method=exact", "reference=null"]) == 0
    missing = status(words, capsys)[2].split("Missing, of what has begun:\n")[1].split("\n\n")[0]
    assert set(missing.splitlines()) == {f"tiny  lateon-like  {cell}" for cell in ("none  plaid", *SMVES)}
