"""Several draws of a method's random numbers in one cell: the scores of as many cells of one draw, in one record."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness import records
from harness.cli import main
from harness.ranking import maxsim
from harness.system.errors import HarnessError

SMALL = ["repetitions=3", "bits=2", "projection=4"]
MUVERA = ["center=corpus", "method=muvera", *(f"method.{word}" for word in SMALL), "depths=[0,5,20]"]


@pytest.fixture
def run(lateon_like, tiny_dataset, tmp_path):
    """Run on the tiny data set, with results in a folder and one cache; returns the exit code."""

    def call(*words, results="r"):
        places = [f"results_dir={tmp_path / results}", f"cache_dir={tmp_path / 'c'}", "progress=false"]
        given = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "reference=null"]
        return main(["run", *given, *places, *words])

    return call


@pytest.fixture
def passes(monkeypatch):
    """The number of pairs of each MaxSim pass."""
    done, score = [], maxsim.score

    def counted(queries, docs, pairs, *arguments, **options):
        done.append(len(pairs))
        return score(queries, docs, pairs, *arguments, **options)

    monkeypatch.setattr(maxsim, "score", counted)
    return done


def of(folder):
    (record,) = records.read_all(folder)
    return record


def path_of(folder):
    (path,) = folder.glob("records/*/*/*/*.json")
    return path


def test_draws_are_cells_of_one_draw_put_together(run, passes, tmp_path):
    assert run(*MUVERA, "method.seeds=3", "save_runs=true") == 0
    together = of(tmp_path / "r")
    assert len(passes) == 1  # one MaxSim pass for all draws
    assert together.draw_seeds == (42, 43, 44) and together.identity["method"]["seed"] == 42
    single = []
    for seed in together.draw_seeds:
        assert run(*MUVERA, f"method.seed={seed}", f"cache_dir={tmp_path / 'other'}", results=f"r{seed}") == 0
        single.append(of(tmp_path / f"r{seed}"))
        assert single[-1].draw_seeds == (seed,) and not single[-1].draws.seeds
    assert len({tuple(record.per_query["0"]) for record in single}) == 3  # each draw is another one
    for depth in ("0", "5", "20"):
        scores = [record.per_query[depth] for record in single]
        np.testing.assert_array_equal(together.draws.ndcg10[depth], scores)
        np.testing.assert_allclose(together.per_query[depth], np.mean(scores, axis=0), atol=1e-15)
        assert together.ndcg10[depth] == pytest.approx(np.mean([record.ndcg10[depth] for record in single]))
        assert together.draws.means[depth] == pytest.approx([record.ndcg10[depth] for record in single])
    for depth in ("5", "20"):
        means = np.mean([record.candidate_recall[depth] for record in single])
        assert together.candidate_recall[depth] == pytest.approx(means)
    names = {path.name for path in (tmp_path / "r" / "runs").rglob("*.gz")}
    stem = together.method
    assert names == {f"{stem}.seed{seed}.rk{depth}.trec.gz" for seed in (42, 43, 44) for depth in (0, 5, 20)}


def test_a_record_keeps_the_draws_that_it_has(run, passes, tmp_path):
    assert run(*MUVERA) == 0
    first, passed = of(tmp_path / "r"), sum(passes)
    assert run(*MUVERA, "method.seeds=2") == 0
    assert sum(passes) < 2 * passed  # what the first draw scored is known
    both = of(tmp_path / "r")
    np.testing.assert_array_equal(both.draws.ndcg10["5"][0], first.per_query["5"])
    before = path_of(tmp_path / "r").read_bytes()
    for words in ([], ["method.seeds=1"], ["method.seeds=[43]"], ["method.seeds={muvera: 2, smve: 7}"]):
        assert run(*MUVERA, *words) == 0
        assert path_of(tmp_path / "r").read_bytes() == before
    assert run(*MUVERA, "method.seeds=[7]", "depths=[0,10]") == 0
    more = of(tmp_path / "r")
    assert more.draw_seeds == (7, 42, 43) and {*more.ndcg10} == {"0", "5", "10", "20"}
    np.testing.assert_array_equal(more.draws.ndcg10["5"][1:], both.draws.ndcg10["5"])
    assert len([*path_of(tmp_path / "r").parent.glob("*.npz")]) == 1  # the file of the record before is gone
    assert run(*MUVERA, "method.seeds=[5]", "overwrite=true") == 0
    assert of(tmp_path / "r").draw_seeds == (5,) and of(tmp_path / "r").identity == more.identity


def test_what_draws_nothing_has_one_result(run, tmp_path):
    assert run("-m", "method=exact", "method.seeds=4", "depths=[0,5]") == 0
    assert of(tmp_path / "r").draw_seeds == (None,) and not of(tmp_path / "r").draws.seeds


@pytest.mark.slow
def test_workers_give_the_same_draws(run, tmp_path):
    assert run(*MUVERA, "method.seeds=3") == 0
    words = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "-m"]
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="`make launchers` installs it")
    assert run(*MUVERA, "method.seeds=3", *words, f"cache_dir={tmp_path / 'd'}", results="j") == 0
    for depth, scores in of(tmp_path / "r").draws.ndcg10.items():
        np.testing.assert_array_equal(of(tmp_path / "j").draws.ndcg10[depth], scores)


def test_reproduce_measures_every_draw_again(run, tmp_path, lateon_like, tiny_dataset, capsys):
    assert run(*MUVERA, "method.seeds=2") == 0
    places = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"cache_dir={tmp_path / 'c'}"]
    capsys.readouterr()
    assert main(["reproduce", str(path_of(tmp_path / "r")), *places]) == 0
    assert "Verdict: same" in capsys.readouterr().out
    content = json.loads(path_of(tmp_path / "r").read_text())
    assert content["config"]["method"]["seeds"] == 2


@pytest.fixture
def tampered(run, tmp_path):
    """A record of two draws, changed; returns the error of reading it."""
    assert run(*MUVERA, "method.seeds=2") == 0
    path = path_of(tmp_path / "r")

    def change(how):
        content = json.loads(path.read_text())
        del content["crc32"]
        how(content)
        path.write_text(json.dumps(content))
        with pytest.raises(HarnessError) as found:
            records.read(path)
        return str(found.value)

    return change


def test_draws_without_their_file_are_refused(tampered, tmp_path):
    (file,) = path_of(tmp_path / "r").parent.glob("*.npz")
    file.rename(file.with_suffix(".moved"))
    said = tampered(lambda content: None)
    assert f"has 2 draws, and {file.name} with their scores is not beside it: copy that file, too" in said


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda content: content["draws"].update(seeds=[1.5, 2]), "are not a list of whole numbers"),
        (lambda content: content["draws"].update(seeds=[1]), "arrays of another shape"),
        (lambda content: content["draws"].update(seeds=[]), "are not a list of whole numbers"),
        (lambda content: content["draws"]["ndcg10"].update({"0": [0.5, 0.5]}), "are not those of their scores"),
        (lambda content: content["draws"].pop("ndcg10"), "KeyError"),
        (lambda content: content["draws"].update(sha256=content["draws"]["sha256"][:8] + "0" * 56), "has other bytes"),
        (lambda content: content["ndcg10"].pop("5"), "other arrays than the record has depths"),
        (lambda content: content.update(draws=[]), "draws is not a dict"),
    ],
)
def test_draws_that_do_not_fit_are_refused(tampered, how, said):
    assert said in tampered(how)


@pytest.mark.parametrize(
    "word", ["0", "1.5", "[]", "[1,1]", "[-1]", "many", "{muvera: 0}", "1001", "{muvera: {smve: 1}}"]
)
def test_other_seeds_are_refused(run, word, capsys):
    assert run(*MUVERA, f"method.seeds={word}") == 2
    assert "expected a number from 1 to 1000, a list of different seeds" in capsys.readouterr().err
