"""Stages: a step that was done is not repeated, by no run and no process, and a damaged one is not believed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from harness import records
from harness.cli import main
from harness.commands import arguments
from harness.config.entries import ROOT
from harness.config.shards import WHOLE
from harness.evaluation import trec
from harness.measure import artifacts, recording
from harness.measure.failing import Failures
from harness.methods import registry
from harness.ranking import maxsim
from harness.ranking.ranks import Ranking
from harness.sweep import jobs
from harness.system.errors import HarnessError
from harness.system.files import read_arrays, write_arrays

SCORES = ("ndcg10", "candidate_recall", "candidates", "details", "per_query", "identity")
SWEEP = ["-m", "center=none,corpus", "method=muvera,smve", "depths=[0,5,20]"]


@pytest.fixture
def words(lateon_like, tiny_dataset, tmp_path):
    """The words of a run with folders of its own."""
    places = [f"results_dir={tmp_path / 'r'}", f"cache_dir={tmp_path / 'c'}", "progress=false", "reference=null"]
    return [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", *places]


@pytest.fixture
def steps(monkeypatch):
    """What is computed, as it is computed: a method's name for each search, a number for each MaxSim pass."""
    done = []

    def counted(name, method):
        class Counted(method):
            def search(self, *arguments):
                done.append(name)
                return super().search(*arguments)

            def warm_up(self, *arguments):
                """Nothing: it searches, too."""

        return Counted

    def score(queries, docs, pairs, *arguments, **options):
        done.append(len(pairs))
        return maxsim_score(queries, docs, pairs, *arguments, **options)

    maxsim_score = maxsim.score
    before = registry.method_class
    monkeypatch.setattr(registry, "method_class", lambda name: counted(name, before(name)))
    monkeypatch.setattr(maxsim, "score", score)
    return done


def found(tmp_path, folder="r"):
    return {record.center + record.method: record for record in records.read_all(tmp_path / folder)}


def same(one, other):
    assert one.keys() == other.keys()
    for name, record in one.items():
        for field in SCORES:
            assert getattr(record, field) == getattr(other[name], field), (name, field)


def test_without_its_records_a_sweep_computes_nothing_again(words, steps, tmp_path):
    assert main(["run", *words, *SWEEP]) == 0
    first = found(tmp_path)
    assert [step for step in steps if isinstance(step, str)] == ["muvera", "smve"] * 2
    shutil.rmtree(tmp_path / "r")
    steps.clear()
    assert main(["run", *words, *SWEEP]) == 0
    again = found(tmp_path)
    assert not steps
    same(first, again)
    kept = {name: replace(record, started="", seconds={}) for name, record in first.items()}
    assert kept == {name: replace(record, started="", seconds={}) for name, record in again.items()}
    for name, record in again.items():
        assert {**record.seconds, "evaluate": 0} == {**first[name].seconds, "evaluate": 0}


@pytest.mark.parametrize("lost", ["smve-*.candidates.npz", "*.maxsim.npz", "muvera-*"])
def test_what_is_lost_between_stages_is_computed_and_nothing_else(words, steps, tmp_path, lost):
    assert main(["run", *words, *SWEEP]) == 0
    first = found(tmp_path)
    shutil.rmtree(tmp_path / "r")
    for path in (tmp_path / "c" / "stages").rglob(lost):
        path.unlink()
    steps.clear()
    assert main(["run", *words, *SWEEP]) == 0
    same(first, found(tmp_path))
    searches = {"smve-*.candidates.npz": ["smve"] * 2, "*.maxsim.npz": [], "muvera-*": ["muvera"] * 2}
    assert [step for step in steps if isinstance(step, str)] == searches[lost]
    assert len([step for step in steps if isinstance(step, int)]) <= int(lost != "smve-*.candidates.npz")


def test_the_maxsim_of_a_pair_is_computed_once_for_all_runs(words, steps, tmp_path):
    whole = [*words[:2], f"results_dir={tmp_path / 'w'}", f"cache_dir={tmp_path / 'w'}", *words[4:]]
    assert main(["run", *whole, *SWEEP]) == 0
    (pairs,) = [step for step in steps if isinstance(step, int)]
    steps.clear()
    for center in ("none", "corpus"):
        for method in ("smve", "muvera"):
            assert main(["run", *words, f"center={center}", f"method={method}", SWEEP[-1]]) == 0
    counts = [step for step in steps if isinstance(step, int)]
    assert sum(counts) == pairs and len(counts) > 1 and counts[0] > counts[-1]
    same(found(tmp_path), found(tmp_path, "w"))


def test_overwrite_computes_all_of_its_cells_anew(words, steps, tmp_path):
    single = [*words, "method=smve", SWEEP[-1]]
    assert main(["run", *single]) == 0
    first, computed = found(tmp_path), list(steps)
    steps.clear()
    assert main(["run", *single, "overwrite=true"]) == 0
    assert steps == computed
    same(first, found(tmp_path))


def test_another_depth_another_method_and_other_code_are_other_stages(words, steps, tmp_path, monkeypatch):
    single = [*words, "method=smve"]
    assert main(["run", *single, "depths=[0,20]"]) == 0
    for change in (["depths=[0,30]"], ["depths=[0,20]", "method.seed=1"], ["depths=[0,20]", "method.keep=8"]):
        steps.clear()
        assert main(["run", *single, *change]) == 0
        assert steps[0] == "smve", change
    shutil.rmtree(tmp_path / "r")
    monkeypatch.setattr(artifacts.provenance, "code", lambda: "of another day")
    steps.clear()
    assert main(["run", *single, "depths=[0,20]"]) == 0
    assert steps[0] == "smve" and steps[1] > 0


@pytest.mark.parametrize("end", ["candidates.npz", "maxsim.npz"])
def test_a_damaged_stage_fails_its_cell_alone_and_is_named(words, tmp_path, capsys, end):
    sweep = [*words, "-m", "method=muvera,smve", SWEEP[-1]]
    assert main(["run", *sweep]) == 0
    first = found(tmp_path)
    shutil.rmtree(tmp_path / "r")
    (path,) = (tmp_path / "c" / "stages").rglob(f"smve-*.{end}")
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    capsys.readouterr()
    assert main(["run", *sweep]) == 1
    said = capsys.readouterr()
    assert f"{path} is damaged" in said.err and found(tmp_path).keys() == {"corpusmuvera"}
    assert "| MUVERA |" in said.out and "| SMVE |" not in said.out, "the table has what succeeded"
    assert "1 failed:" in said.err
    path.unlink()
    assert main(["run", *sweep]) == 0
    same(first, found(tmp_path))


def test_damaged_candidates_fail_their_cell_alone_though_maxsim_is_to_be_computed(words, tmp_path, capsys):
    assert main(["run", *words, *SWEEP]) == 0
    first = found(tmp_path)
    shutil.rmtree(tmp_path / "r")
    for path in (tmp_path / "c" / "stages").rglob("*.maxsim.npz"):
        path.unlink()
    (damaged,) = (tmp_path / "c" / "stages").rglob("none/smve-*.candidates.npz")
    damaged.write_bytes(damaged.read_bytes()[:-50])
    assert main(["run", *words, *SWEEP]) == 1
    assert f"{damaged} is damaged" in capsys.readouterr().err
    assert found(tmp_path).keys() == first.keys() - {"nonesmve"}
    damaged.unlink()
    assert main(["run", *words, *SWEEP]) == 0
    same(first, found(tmp_path))


def test_damaged_maxsim_of_a_finished_cell_is_said_and_not_used(words, tmp_path, capsys):
    assert main(["run", *words, "center=none", "method=smve", SWEEP[-1]]) == 0
    (damaged,) = (tmp_path / "c" / "stages").rglob("none/smve-*.maxsim.npz")
    damaged.write_bytes(damaged.read_bytes()[:-50])
    assert main(["run", *words, *SWEEP]) == 0
    assert f"not used: {damaged} is damaged" in capsys.readouterr().err and len(found(tmp_path)) == 4


@pytest.mark.parametrize("end", ["candidates.npz", "maxsim.npz"])
def test_a_stage_in_the_place_of_another_is_not_believed(words, tmp_path, capsys, end):
    assert main(["run", *words, *SWEEP]) == 0
    first = found(tmp_path)
    shutil.rmtree(tmp_path / "r")
    one, other = sorted((tmp_path / "c" / "stages").rglob(f"*/muvera-*.{end}"))
    one.write_bytes(other.read_bytes())
    assert main(["run", *words, *SWEEP]) == 1
    place = "/".join(other.parts[-5:])
    assert f"{one} is damaged (ValueError: it belongs to {place}): delete it and run again" in capsys.readouterr().err
    assert found(tmp_path).keys() == first.keys() - {f"{one.parent.name}muvera"}
    one.unlink()
    assert main(["run", *words, *SWEEP]) == 0
    same(first, found(tmp_path))


def test_maxsim_of_other_candidates_is_not_believed(words, steps, tmp_path):
    single = [*words, "center=none", "method=smve", SWEEP[-1]]
    assert main(["run", *single]) == 0
    shutil.rmtree(tmp_path / "r")
    (path,) = (tmp_path / "c" / "stages").rglob("*.candidates.npz")
    candidates = artifacts.read_candidates(path)
    rows = candidates.ranking.rows.copy()
    rows[:, [0, 7]] = rows[:, [7, 0]]
    artifacts.write_candidates(path, replace(candidates, ranking=Ranking(rows, candidates.ranking.scores)))
    maxsim_of_others = artifacts.read_maxsim(path.with_name(path.name.replace("candidates", "maxsim")))
    assert not maxsim_of_others.fits(rows) and maxsim_of_others.fits(candidates.ranking.rows)
    steps.clear()
    assert main(["run", *single]) == 0
    assert steps == [maxsim_of_others.pairs]  # nothing searched, all pairs scored again
    (computed,) = (tmp_path / "c" / "stages").rglob("*.maxsim.npz")
    assert artifacts.read_maxsim(computed).fits(rows)


def test_reranking_costs_what_it_cost_whoever_did_it(words, tmp_path):
    single = [*words, "center=none", "depths=[0,20]"]
    assert main(["run", *single, "method=smve"]) == 0
    (path,) = (tmp_path / "c" / "stages").rglob("smve-*.maxsim.npz")
    artifacts.write_maxsim(path, replace(artifacts.read_maxsim(path), seconds=100.0))
    assert main(["run", *single, "method=muvera"]) == 0
    one, other = (pairs_of(path) for path in sorted((tmp_path / "c" / "stages").rglob("*.candidates.npz")))
    assert one != other
    expected = 100 * len(one & other) / len(other)
    assert expected < found(tmp_path)["nonemuvera"].seconds["rerank"] < expected + 10


def pairs_of(path):
    rows = artifacts.read_candidates(path).ranking.rows[:, :20]
    return {(query, row) for query, some in enumerate(rows) for row in some if row >= 0}


def test_a_method_is_searched_alike_whatever_is_searched_along(words, tmp_path):
    assert main(["run", *words, "-m", "center=none,corpus,own", "method=muvera,smve", SWEEP[-1]]) == 0
    first = stage_scores(tmp_path)
    shutil.rmtree(tmp_path / "c" / "stages")
    shutil.rmtree(tmp_path / "r")
    for center in ("own", "none", "corpus"):
        assert main(["run", *words, "-m", f"center={center}", "method=muvera,smve", SWEEP[-1]]) == 0
    assert stage_scores(tmp_path) == first and len(first) == 6


def stage_scores(folder):
    paths = (folder / "c" / "stages").rglob("*.candidates.npz")
    return {path.name + path.parent.name: artifacts.read_candidates(path).ranking.scores.tobytes() for path in paths}


def test_depths_that_another_process_measured_meanwhile_are_kept(words, tmp_path, monkeypatch):
    single = [*words, "method=smve"]
    claim, done = recording.claim, []

    def interrupted(*arguments):
        if not done:
            done.append("by another")
            assert main(["run", *single, "depths=[0,20]"]) == 0
        return claim(*arguments)

    monkeypatch.setattr(recording, "claim", interrupted)
    assert main(["run", *single, "depths=[0,30]"]) == 0
    together = found(tmp_path)
    assert list(together["corpussmve"].ndcg10) == ["0", "20", "30"]
    assert main(["run", *single, "depths=[0,20,30]", "overwrite=true"]) == 0
    same(together, found(tmp_path))


def test_who_writes_a_record_waits_for_another_with_other_depths(words, tmp_path, monkeypatch):
    single = [*words, "method=smve"]
    write, others = recording.write, []

    def interrupted(*arguments):
        if not others:
            command = [sys.executable, "-m", "harness", "run", *single, "depths=[0,20]"]
            others.append(
                subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            )
            for line in others[0].stderr:
                if "waiting for another process that is working on smve" in line:
                    break
        return write(*arguments)

    monkeypatch.setattr(recording, "write", interrupted)
    assert main(["run", *single, "depths=[0,30]"]) == 0
    others[0].communicate()
    assert others[0].returncode == 0 and list(found(tmp_path)["corpussmve"].ndcg10) == ["0", "20", "30"]


def test_a_search_job_takes_its_cells_as_they_are_by_now(words, tmp_path):
    sweep = [*words, "-m", "center=own,corpus", "method=smve", "depths=[0,20]"]
    waves, _ = jobs.plan(arguments.cells(*arguments.split(sweep), lambda options: None)[0], Failures())
    another = [word for word in words if not word.startswith("cache_dir")]
    deeper = ["center=corpus", "method=smve", "depths=[0,50]", f"cache_dir={tmp_path / 'another'}"]
    assert main(["run", *another, *deeper]) == 0
    for job in [job for wave in waves.values() for job in wave]:
        jobs.do(job, 1)
    made = found(tmp_path)["corpussmve"]
    whole = [*words[:2], f"results_dir={tmp_path / 'w'}", f"cache_dir={tmp_path / 'w'}", *words[4:]]
    assert main(["run", *whole, "center=corpus", "method=smve", "depths=[0,20,50]"]) == 0
    same({"corpussmve": made}, found(tmp_path, "w"))


def test_a_cell_that_cannot_be_centered_fails_alone(words, tmp_path, capsys):
    sweep = [*words, "-m", "center=corpus,own", "method=smve", SWEEP[-1]]
    assert main(["run", *sweep]) == 0
    shutil.rmtree(tmp_path / "r")
    shutil.rmtree(tmp_path / "c" / "stages")
    (damaged,) = (tmp_path / "c" / "tokens").glob("*-mean-*/tokens.f16")
    damaged.write_bytes(damaged.read_bytes()[:-3])
    assert main(["run", *sweep]) == 1
    assert str(damaged.parent) in capsys.readouterr().err and found(tmp_path).keys() == {"corpussmve"}


def test_a_cell_whose_name_is_too_long_fails_alone(words, tmp_path, capsys):
    long = "[" + ",".join(["scifact"] * 30) + "]"
    sweep = [*words, "-m", "center=own", "method=smve", "depths=[0]", f"center.fallback={long},[scifact]"]
    assert main(["run", *sweep]) == 1
    assert "cannot be a file name" in capsys.readouterr().err and len(found(tmp_path)) == 1


def test_run_files_of_a_record_that_is_replaced_go_with_it(words, tmp_path):
    single = [*words, "method=smve", "depths=[0,20]"]
    assert main(["run", *single, "dataset.query_length=8", "save_runs=true"]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*.gz")}
    assert main(["run", *single, "dataset.query_length=9", "overwrite=true"]) == 0
    assert len(before) == 2 and not list((tmp_path / "r").rglob("*.gz"))
    assert main(["run", *single, "dataset.query_length=9", "save_runs=true"]) == 0
    assert len(list((tmp_path / "r").rglob("*.gz"))) == 2
    other = [*words, "method=smve", "depths=[0,10]", "dataset.query_length=8", "save_runs=true", "overwrite=true"]
    assert main(["run", *other]) == 0
    assert {path.name for path in (tmp_path / "r").rglob("*.gz")} == {"smve.rk0.trec.gz", "smve.rk10.trec.gz"}


def test_a_record_of_other_inputs_that_another_process_made_meanwhile_is_kept(words, tmp_path, monkeypatch, capsys):
    single = [*words, "method=smve", "depths=[0,20]"]
    claim, done = recording.claim, []

    def interrupted(*arguments):
        if not done:
            done.append("by another")
            assert main(["run", *single, "dataset.query_length=9"]) == 0
        return claim(*arguments)

    monkeypatch.setattr(recording, "claim", interrupted)
    assert main(["run", *single, "dataset.query_length=8"]) == 1
    assert "was made with different model: set overwrite=true" in capsys.readouterr().err
    assert found(tmp_path)["corpussmve"].identity["model"]["query_length"] == 9


def test_two_cells_of_one_name_are_refused_before_any_work(words, tmp_path, capsys):
    assert main(["run", *words, "-m", "method=smve", "dataset.query_length=8,9"]) == 2
    assert (
        "two cells of this sweep differ in dataset.query_length and would have the same record"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "r" / "records").exists()
    sweep = ["run", *words, "-m", "method=smve", "depths=[0,20],[0]"]
    assert main(sweep) == 0  # one record, no other inputs
    assert main([*sweep, "overwrite=true"]) == 2
    assert "two cells of this sweep differ in depths" in capsys.readouterr().err


def test_run_files_that_a_killed_run_did_not_come_to_are_written(words, tmp_path, monkeypatch):
    single = [*words, "method=smve", SWEEP[-1]]
    assert main(["run", *single]) == 0
    before = found(tmp_path)
    write, written = trec.replacing, []

    def killed(path):
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt
        return write(path)

    with monkeypatch.context() as patched:
        patched.setattr(trec, "replacing", killed)
        with pytest.raises(KeyboardInterrupt):
            main(["run", *single, "save_runs=true"])
    assert main(["run", *single, "save_runs=true"]) == 0
    assert {path.name for path in (tmp_path / "r").rglob("*.gz")} == {f"smve.rk{d}.trec.gz" for d in (0, 5, 20)}
    same(before, found(tmp_path))


def test_every_single_bit_of_a_file_of_arrays_is_checked(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, rows=np.arange(3), facts=np.array('{"a": 1}'))
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with pytest.raises(HarnessError, match="is damaged .* delete it and run again"):
            read_arrays(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(HarnessError, match="is damaged"):
            read_arrays(path)


def test_known_pairs_are_those_of_the_same_shard(tmp_path):
    rows, scores = np.array([[3, 1, -1]]), np.array([[2.0, 1.0, -np.inf]], np.float32)
    candidates = artifacts.Candidates(Ranking(rows, scores), {})
    for shard in (WHOLE, artifacts.Shard(1, 2)):
        one = artifacts.files(tmp_path, "none", "smve", [], shard)
        artifacts.write_candidates(one.candidates, candidates)
        artifacts.write_maxsim(one.maxsim, artifacts.MaxSim.of(rows[:, :2], scores[:, :2] + shard.count, 8, 4.0))
    for shard in (WHOLE, artifacts.Shard(1, 2)):
        ((found_rows, found_scores, cost),) = artifacts.known(tmp_path, shard)
        assert found_rows.tolist() == [[3, 1]] and found_scores.tolist() == [[2 + shard.count, 1 + shard.count]]
        assert cost == 0.5
    assert not list(artifacts.known(tmp_path, artifacts.Shard(2, 2)))


@pytest.mark.slow
def test_four_runs_at_once_share_one_cache(words, tmp_path):
    whole = [*words[:2], f"results_dir={tmp_path / 'w'}", f"cache_dir={tmp_path / 'w'}", *words[4:]]
    assert main(["run", *whole, *SWEEP]) == 0
    command = [sys.executable, "-m", "harness", "run", *words, *SWEEP, "threads=1"]
    runs = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in "four"
    ]
    said = [one.communicate()[1] for one in runs]
    assert [one.returncode for one in runs] == [0] * 4, said
    same(found(tmp_path), found(tmp_path, "w"))
    written = [line for text in said for line in text.splitlines() if ": NDCG@10" in line]
    assert len(written) == 4, "each record is made by one of them"
    assert not list((tmp_path / "c").rglob("*.tmp"))


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (["method.seeds=[1,2],[8,9]"], "differ in method.seeds: name all seeds in one list"),
        (["metrics=[map],[recall@100]", "overwrite=true"], "differ in metrics and would have the same record"),
    ],
)
def test_what_one_cell_would_take_from_another_is_refused_before_any_work(words, tmp_path, capsys, more, differs):
    assert main(["run", *words, "-m", "method=smve", *more]) == 2
    assert differs in capsys.readouterr().err and not found(tmp_path)
