"""Many workers: whatever launches them, the records are those of one process; what is left undone is done or said."""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace

import killers
import pytest
from omegaconf import OmegaConf

from harness import records
from harness.cli import main
from harness.commands import workers
from harness.errors import HarnessError

SCORES = ("ndcg10", "candidate_recall", "candidates", "details", "per_query", "identity", "sha256", "seeds")
SWEEP = ["-m", "center=none,corpus,own", "method=muvera,smve,exact", "depths=[0,5,20]", "save_runs=true"]
RAY = ["hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2"]
LAUNCHERS = {"joblib": ["hydra/launcher=joblib"], "submitit": ["hydra/launcher=submitit_local"], "ray": RAY}


def installed(extra):
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.hydra_{extra}_launcher") is not None


def needs(extra):
    return pytest.mark.skipif(not installed(extra), reason=f"`make launchers` installs hydra-{extra}-launcher")


@pytest.fixture(scope="module")
def sweep(lateon_like, tiny_dataset):
    """The words of a sweep, without folders."""
    return [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "progress=false", *SWEEP]


@pytest.fixture(scope="module")
def alone(sweep, tmp_path_factory):
    """What one process measured."""
    folder = tmp_path_factory.mktemp("alone")
    assert main(["run", *sweep, *places(folder)]) == 0
    return found(folder)


def places(folder):
    return [f"results_dir={folder / 'r'}", f"cache_dir={folder / 'c'}"]


def found(folder):
    return {record.center + record.method: record for record in records.read_all(folder / "r")}


def same(one, other):
    assert one.keys() == other.keys() and len(one) == 8  # PLAID's reference along
    for name, record in one.items():
        for field in SCORES:
            assert getattr(record, field) == getattr(other[name], field), (name, field)


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in LAUNCHERS])
def test_records_do_not_depend_on_the_launcher(name, sweep, alone, tmp_path, capfd):
    assert main(["run", *sweep, *places(tmp_path), *LAUNCHERS[name]]) == 0
    same(found(tmp_path), alone)
    assert len(list((tmp_path / "r" / "runs").rglob("*.trec.gz"))) == 6 * 3 + 2
    said = capfd.readouterr()
    assert "encode: 1 units" in said.err and "search: 5 units" in said.err and "measure: 1 units" in said.err
    assert main(["run", *sweep, *places(tmp_path), *LAUNCHERS[name]]) == 0  # finished before: nobody is sent for
    assert "units" not in capfd.readouterr().err


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
    assert "tiny  lateon-like  none  plaid+n_full_scores=16: PLAID with n_full_scores=16" in said
    assert found(tmp_path).keys() == {"noneplaid+n_full_scores=400"}


@needs("joblib")
def test_what_a_killed_worker_left_undone_is_done_by_the_next_wave(sweep, alone, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(workers, "_Work", killers.KilledInSearch)
    assert main(["run", *sweep, *places(tmp_path), "hydra/launcher=joblib"]) == 0
    assert "a worker ended early (TerminatedWorkerError" in capfd.readouterr().err
    same(found(tmp_path), alone)


@needs("joblib")
def test_cells_that_no_worker_lived_to_measure_are_listed(sweep, alone, tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patched:
        patched.setattr(workers, "_Work", killers.KilledAlways)
        assert main(["run", *sweep, *places(tmp_path), "hydra/launcher=joblib"]) == 1
    said = capfd.readouterr().err
    assert "8 failed:" in said and "tiny  lateon-like  own  smve: its worker ended before it was measured" in said
    assert main(["run", *sweep, *places(tmp_path), "hydra/launcher=joblib"]) == 0
    same(found(tmp_path), alone)


def test_a_launcher_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    with pytest.raises(HarnessError, match="hydra/launcher=ray needs hydra-ray-launcher.*`make launchers`"):
        workers.launcher(["hydra/launcher=ray"])


def test_only_run_takes_a_launcher(tmp_path, capsys):
    assert main(["geometry", "model=demo", "hydra/launcher=joblib", *places(tmp_path)]) == 2
    assert "only `run` takes a launcher" in capsys.readouterr().err


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
    monkeypatch.setattr(workers, "os", SimpleNamespace(cpu_count=lambda: 8))
    assert workers.threads(OmegaConf.create(options)) == expected
