"""Many workers: whatever launches them, the records are those of one process; what is left undone is done or said.

Most sweeps are of given token vectors: a worker then need not import what encodes, which takes longer than its work.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import killers
import numpy as np
import pytest
import torch
from extras import needs
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tiny import WORDS, unit, write_dataset
from vectors_folder import write_side

from harness import records
from harness.cli import main
from harness.config.entries import ROOT
from harness.data import beir
from harness.measure import testbed
from harness.sweep import launch
from harness.system.errors import HarnessError

pytestmark = pytest.mark.launchers
SCORES = ("ndcg10", "candidate_recall", "candidates", "details", "per_query", "identity", "sha256", "seeds")
SWEEP = ["-m", "center=none,corpus,own", "method=muvera,smve,exact", "depths=[0,5,20]", "save_runs=true"]
RAY = ["hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2"]
LAUNCHERS = {"joblib": ["hydra/launcher=joblib"], "submitit": ["hydra/launcher=submitit_local"], "ray": RAY}


def each(*extras):
    """A case for each launcher; those that start a process for each job, or Ray, take minutes."""
    return [pytest.param(one, marks=[needs(one), *([pytest.mark.slow] if one != "joblib" else [])]) for one in extras]


@pytest.fixture(scope="module")
def encoded(lateon_like, tiny_dataset):
    """The words of a sweep whose texts a model encodes, without folders. It is short: a job may be a process."""
    few = [word.replace("none,corpus,own", "corpus") for word in SWEEP]
    return [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "progress=false", *few]


@pytest.fixture(scope="module")
def sweep(tiny_dataset, tmp_path_factory):
    """The words of the same sweep on given token vectors."""
    vectors = write_vectors(tmp_path_factory.mktemp("vectors") / "given", tiny_dataset)
    return [f"vectors={vectors}", f"dataset.path={tiny_dataset}", "progress=false", *SWEEP]


@pytest.fixture(scope="module")
def alone(sweep, tmp_path_factory):
    """What one process measured."""
    return measured(sweep, tmp_path_factory.mktemp("alone"))


def write_vectors(folder, dataset):
    """Random token vectors of a data set's documents and of all its queries."""
    texts, rng = beir.read_folder("tiny", dataset, "test", None), np.random.default_rng(5)
    sides = {"documents": texts.docs, "queries": {**texts.queries, **texts.other_queries}}
    for side, ids in sides.items():
        write_side(folder / side, {name: unit(rng, int(rng.integers(3, 9)), 16, cone=0.3) for name in ids})
    return folder


def measured(words, folder):
    assert main(["run", *words, *places(folder)]) == 0
    return found(folder)


def one_cell(sweep):
    return [*(word for word in sweep if "," not in word or "[" in word), "method=smve", "center=none"]


def places(folder):
    return [f"results_dir={folder / 'r'}", f"cache_dir={folder / 'c'}"]


def found(folder):
    return {record.center + record.method: record for record in records.read_all(folder / "r")}


def same(one, other, cells=8):
    assert one.keys() == other.keys() and len(one) == cells  # PLAID's reference along
    for name, record in one.items():
        for field in SCORES:
            assert getattr(record, field) == getattr(other[name], field), (name, field)


@pytest.fixture(scope="module")
def alone_encoded(encoded, tmp_path_factory):
    """What one process measured of what it encoded."""
    return measured(encoded, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("name", each(*LAUNCHERS))
def test_records_do_not_depend_on_the_launcher(name, encoded, alone_encoded, tmp_path, capfd):
    assert main(["run", *encoded, *places(tmp_path), *LAUNCHERS[name]]) == 0
    same(found(tmp_path), alone_encoded, cells=4)
    assert len(list((tmp_path / "r" / "runs").rglob("*.trec.gz"))) == 2 * 3 + 2
    said = capfd.readouterr()
    assert "encode: 1 job\n" in said.err and "search: 3 jobs\n" in said.err and "measure: 1 job\n" in said.err
    assert main(["run", *encoded, *places(tmp_path), *LAUNCHERS[name]]) == 0  # finished before: no worker is started
    assert "measure: " not in capfd.readouterr().err


@pytest.mark.slow
@needs("ray")
def test_two_nodes_of_a_ray_cluster_share_a_sweep(sweep, alone, tmp_path):
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        words = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={cluster.address}"]
        assert main(["run", *sweep, *places(tmp_path), *words]) == 0
        ray.init(address=cluster.address, logging_level="ERROR")
        assert len(ray.nodes()) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()
    same(found(tmp_path), alone)


@needs("joblib")
def test_a_failing_cell_is_said_and_the_others_are_measured(sweep, tmp_path, capfd):
    words = [word for word in sweep if not word.startswith("method=")]
    words += [*places(tmp_path), "method=plaid", "method.n_full_scores=16,400", "hydra/launcher=joblib"]
    assert main(["run", *words, "reference=null"]) == 1
    said = capfd.readouterr().err
    assert "tiny  given  none  plaid+n_full_scores=16: PLAID with n_full_scores=16" in said
    assert found(tmp_path).keys() == {"noneplaid+n_full_scores=400"}


@pytest.mark.slow
@needs("joblib")
def test_what_a_killed_worker_left_undone_is_done_by_the_next_wave(sweep, alone, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(launch, "_Work", killers.KilledInSearch)
    assert main(["run", *sweep, *places(tmp_path), "hydra/launcher=joblib"]) == 0
    assert "a worker ended early (TerminatedWorkerError" in capfd.readouterr().err
    same(found(tmp_path), alone)


@pytest.mark.slow
@needs("joblib")
def test_cells_that_no_worker_lived_to_measure_are_listed(sweep, alone, tmp_path, monkeypatch, capfd):
    before = tmp_path / "r" / "failures" / "tiny" / "given" / "none"
    before.mkdir(parents=True)
    (before / "smve.txt").write_text("the disk was full\n")
    with monkeypatch.context() as patched:
        patched.setattr(launch, "_Work", killers.KilledAlways)
        assert main(["run", *sweep, *places(tmp_path), "hydra/launcher=joblib"]) == 1
    said = capfd.readouterr().err
    assert "8 failed:" in said and "tiny  given  own  smve: its worker ended before it was measured" in said
    assert "the disk was full" not in said  # of an earlier time
    assert main(["run", *sweep, *places(tmp_path), "hydra/launcher=joblib"]) == 0
    same(found(tmp_path), alone)


@pytest.fixture
def five(sweep, tiny_dataset, tmp_path):
    """The words of a sweep over five data sets."""
    copies = [shutil.copytree(tiny_dataset, tmp_path / f"set{i}") for i in range(5)]
    places_ = [word for word in sweep if not word.startswith(("dataset", "center", "method"))]
    return [*places_, *places(tmp_path), f"dataset.path={','.join(map(str, copies))}", "method=smve", "reference=null"]


@pytest.mark.slow
@pytest.mark.parametrize("name", each("joblib", "submitit"))
def test_the_units_that_a_killed_worker_took_along_are_done(name, five, tmp_path, monkeypatch, capfd):
    sets = 5 if name == "joblib" else 2  # submitit starts a process for each job
    words = [",".join(word.split(",")[:sets]) if word.startswith("dataset.path=") else word for word in five]
    monkeypatch.setattr(launch, "_Work", killers.KilledOnce)
    monkeypatch.setattr(killers.KilledOnce, "folder", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(killers.__file__).parent))  # where submitit's workers find it
    assert main(["run", *words, *LAUNCHERS[name]]) == 0
    assert (tmp_path / "killed").exists() and "launched again, as their workers died: " in capfd.readouterr().err
    assert sorted(record.dataset for record in records.read_all(tmp_path / "r")) == [f"set{i}" for i in range(sets)]


@pytest.mark.slow
@needs("joblib")
def test_units_that_no_worker_survives_take_none_of_the_others_along(five, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(launch, "_Work", killers.KilledByTwo)
    assert main(["run", *five, *LAUNCHERS["joblib"]]) == 1
    said = capfd.readouterr().err
    assert "2 failed:" in said and "set0  given  corpus  smve: its worker ended" in said
    assert sorted(record.dataset for record in records.read_all(tmp_path / "r")) == ["set2", "set3", "set4"]


@pytest.mark.slow
@needs("joblib")
def test_what_is_to_be_made_anew_counts_only_if_it_was(sweep, alone, tmp_path, monkeypatch, capfd):
    words = ["run", *sweep, *places(tmp_path), *LAUNCHERS["joblib"]]
    assert main(words) == 0
    before = states(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(launch, "_Work", killers.KilledAlways)
        assert main([*words, "overwrite=true"]) == 1
    assert states(tmp_path) == before and "7 failed:" in capfd.readouterr().err  # all but PLAID's reference
    assert main([*words, "overwrite=true"]) == 0
    after = states(tmp_path)
    assert after.keys() == before.keys()
    assert {path.stem for path in after if after[path] == before[path]} == {"plaid"}
    same(found(tmp_path), alone)


def states(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "r" / "records").rglob("*.json")}


@pytest.fixture
def two_chunks(tmp_path, rng):
    """A corpus of two shards."""
    corpus = {f"d{i}": " ".join(rng.choice(WORDS, 3)) for i in range(1100)}
    return write_dataset(tmp_path / "two", corpus, {"q": "alpha beta"}, {"q": {"d1": 1}})


def cell(dataset, folder):
    """The words of a cell, without a model."""
    words = [f"dataset.path={dataset}", "progress=false", "center=none", "method=smve", "depths=[0,20]"]
    return ["run", *words, "reference=null", *places(folder)]


@pytest.fixture
def sharded(two_chunks, tmp_path):
    """The words of a cell on a corpus of two shards, with given token vectors."""
    return [*cell(two_chunks, tmp_path), f"vectors={write_vectors(tmp_path / 'given', two_chunks)}"]


@pytest.mark.slow
@needs("joblib")
def test_a_corpus_of_several_chunks_is_encoded_by_several_workers(two_chunks, lateon_like, tmp_path, capfd):
    words = [*cell(two_chunks, tmp_path), f"model.path={lateon_like}"]
    assert main([*words, *LAUNCHERS["joblib"]]) == 0
    assert "encode: 2 jobs\n" in capfd.readouterr().err
    (shared,) = found(tmp_path).values()
    assert main([*words, *places(tmp_path / "alone")]) == 0
    (alone,) = found(tmp_path / "alone").values()
    assert all(getattr(shared, field) == getattr(alone, field) for field in SCORES)


@pytest.mark.slow
@needs("joblib")
def test_shards_are_measured_by_many_workers(sharded, tmp_path, monkeypatch, capfd):
    many = [*sharded, *LAUNCHERS["joblib"]]
    assert main([*many, "shard=1/2"]) == 0 and not found(tmp_path)
    assert "measure: 1 job\n" in capfd.readouterr().err and not list((tmp_path / "c").rglob("*2-of-2*"))
    (damaged,) = (tmp_path / "c").rglob("*1-of-2.maxsim.npz")
    damaged.write_bytes(damaged.read_bytes()[:-7])
    assert main([*many, "shard=1/2"]) == 1
    assert f"{damaged} is damaged" in capfd.readouterr().err
    damaged.unlink()
    with monkeypatch.context() as patched:  # the workers have another kind of device than who plans for them
        patched.setattr(testbed, "device", lambda _: torch.device("cuda"))
        assert main([*many, "shard=1/2"]) == 0 and damaged.exists()
    damaged.unlink()
    assert main([*many, "-m", "shard=1/2,2/2"]) == 0
    said = capfd.readouterr().err
    assert "search: 1 job\n" in said and "measure: 2 jobs\n" in said and len(found(tmp_path)) == 1


@pytest.mark.slow
@needs("joblib")
def test_of_shards_made_anew_the_record_counts_too(sharded, tmp_path, monkeypatch, capfd):
    for shard in ("1/2", "2/2"):
        assert main([*sharded, f"shard={shard}"]) == 0
    before = states(tmp_path)
    monkeypatch.setattr(launch, "_Work", killers.KilledAtRecord)
    assert main([*sharded, "shard=2/2", "overwrite=true", *LAUNCHERS["joblib"]]) == 1
    assert states(tmp_path) == before and "its worker ended before" in capfd.readouterr().err


@pytest.mark.slow
@needs("joblib")
def test_between_waves_nothing_is_pruned_and_the_cache_is_the_one_that_was_named(sweep, tmp_path, monkeypatch):
    launch_wave, kept = launch._launch, []

    def pruned_before(words, wave):
        before = {path for path in (tmp_path / "c").rglob("*") if path.suffix in (".npz", ".f16")}
        assert main(["cache", "prune", "older=0", "delete=true", f"cache_dir={tmp_path / 'c'}"]) == 0
        kept.append(before and before == {path for path in before if path.exists()})
        launch_wave(words, wave)

    monkeypatch.setattr(launch, "_launch", pruned_before)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "default"))
    words = [*one_cell(sweep), f"results_dir={tmp_path / 'r'}", f"++cache_dir={tmp_path / 'c'}"]
    assert main(["run", *words, *LAUNCHERS["joblib"]]) == 0
    assert kept == [set(), True, True] and not (tmp_path / "default").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hydra/launcher=joblib", "hydra.launcher.nope=1"], "Could not override 'hydra.launcher.nope'"),
        (["hydra.launcher.n_jobs=1"], "Could not override 'hydra.launcher.n_jobs'"),
        (["hydra/launcher=joblib,ray"], "hydra/launcher=joblib,ray names several values: a sweep has one launcher"),
        (["hydra/launcher=joblib", "hydra/launcher=ray"], "hydra/launcher=joblib,ray names several values"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=1,2"], "hydra.launcher.n_jobs=1,2 names several values"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs=0: expected a number of workers"),
        ([*RAY, "hydra.launcher.ray.remote.num_cpus=64"], "num_cpus=64 is more than the 2 of the Ray that is started"),
        (["hydra/launcher=submitit_slurm"], "hydra/launcher=submitit_slurm needs SLURM's sbatch and srun, not found"),
    ],
)
@needs("joblib")
@needs("ray")
@needs("submitit")
def test_words_that_no_launcher_understands_are_said_before_any_work(words, said, sweep, tmp_path, capfd):
    assert main(["run", *sweep, *places(tmp_path), *words]) == 2
    error = capfd.readouterr().err
    assert said in error and "measure: " not in error and not (tmp_path / "r" / "records").exists()


@needs("ray")
def test_a_cluster_that_is_not_there_is_said_before_any_work(sweep, tmp_path, capfd):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # and no listen: a caller is refused
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        words = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]
        assert main(["run", *sweep, *places(tmp_path), *words]) == 2
    said = capfd.readouterr().err
    assert f"cannot start Ray, or reach it at {address} (ConnectionRefusedError" in said and "encode: " not in said


@pytest.mark.slow
@needs("joblib")
@pytest.mark.parametrize("sign", ["+", "++"])
def test_words_with_signs_are_the_launchers_too(sign, sweep, tmp_path, capfd):
    words = ["hydra/launcher=joblib", "++hydra.launcher.n_jobs=1", f"{sign}hydra.launcher.timeout=900"]
    assert main(["run", *one_cell(sweep), *places(tmp_path), *words]) == 0
    assert "measure: 1 job\n" in capfd.readouterr().err


def test_without_a_launcher_hydras_words_are_taken_and_its_folders_not_made(sweep, tmp_path, capfd):
    words = ["hydra/launcher=basic", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    assert main(["run", *one_cell(sweep), *places(tmp_path), *words]) == 0
    assert found(tmp_path).keys() == {"nonesmve", "noneplaid"} and not (tmp_path / "sweep").exists()


def test_of_a_workers_end_the_error_is_said():
    trace = "Job (task=0) failed:\n-----\nTraceback (most recent call last):\n  File\nImportError: no a\n-----\nsee"
    assert launch.reason(RuntimeError(trace)) == "RuntimeError: ImportError: no a"
    assert launch.reason(RuntimeError("it was killed\nby somebody")) == "RuntimeError: it was killed"
    assert launch.reason(RuntimeError()) == "RuntimeError"


def test_a_launcher_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    with pytest.raises(HarnessError, match="hydra/launcher=ray needs hydra-ray-launcher.*`make launchers`"):
        launch.launcher(["hydra/launcher=ray"])


def test_only_run_takes_a_launcher(tmp_path, capsys):
    assert main(["geometry", "model=demo", "hydra/launcher=joblib", *places(tmp_path)]) == 2
    assert "`geometry` does not read hydra/launcher" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_jobs": 2}, 4),
        ({"n_jobs": -1}, 1),
        ({"n_jobs": 16}, 1),
        ({"ray": {"init": {}, "remote": {"num_cpus": 3}}}, 3),
        ({"ray": {"init": {}, "remote": {}}}, 1),
        ({"cpus_per_task": 6}, 6),
        ({"cpus_per_task": None}, 8),
    ],
)
def test_workers_divide_the_cores(options, expected, monkeypatch):
    monkeypatch.setattr(launch.os, "sched_getaffinity", lambda process: range(8))
    assert launch.threads(OmegaConf.create(options)) == expected


def test_cores_are_those_that_this_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert launch.cores() == 1 and launch.threads(OmegaConf.create({"n_jobs": 1})) == 1
    finally:
        os.sched_setaffinity(0, before)


@needs("submitit")
def test_as_many_local_jobs_as_have_cores(sweep, tmp_path, monkeypatch):
    """Submitit starts at once all that it is given."""
    said = []
    monkeypatch.setattr(launch, "_launch", lambda words, wave: said.append(words[-1]))
    monkeypatch.setattr(launch, "cores", lambda: 8)
    words = ["hydra/launcher=submitit_local", "hydra.launcher.cpus_per_task=3"]
    assert main(["run", *sweep, *places(tmp_path), *words]) == 1  # nothing was launched
    assert set(said) == {"hydra.sweeper.max_batch_size=2"}


def test_what_locked_packages_need_is_locked():
    """A package that is there by chance, from before, does not count: `make launchers` would not bring it."""
    lines = "".join((ROOT / name).read_text() for name in ("requirements.lock", "requirements-launchers.lock"))
    found = map(Requirement, re.findall(r"^([^\s#-].*?) \\\n", lines, re.MULTILINE))
    locked = {canonicalize_name(one.name) for one in found if one.marker is None or one.marker.evaluate()}
    assert {"ray", "six", "torch"} <= locked
    missing = {
        f"{name} needs {need.name}"
        for name in locked
        for need in map(Requirement, needs_of(name))
        if (need.marker is None or need.marker.evaluate({"extra": ""})) and canonicalize_name(need.name) not in locked
    }
    assert not missing


def needs_of(name):
    try:
        return requires(name) or []
    except PackageNotFoundError:  # the launchers, where they are not installed
        return []
