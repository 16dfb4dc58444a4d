"""Many workers: the jobs of a sweep, wave by wave, through the Hydra launcher that was chosen."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from harness.config import compose, hydra
from harness.config.texts import quoted
from harness.system.errors import HarnessError
from harness.system.paths import user_path

if TYPE_CHECKING:
    from harness.sweep.jobs import Goal, Job

log = logging.getLogger(__name__)
PACKAGES = {"joblib": "joblib", "ray": "ray", "submitit_local": "submitit", "submitit_slurm": "submitit"}
"""Launcher -> its plugin's package, hydra-NAME-launcher."""
DEFAULTS: dict[str, dict[str, object]] = {
    "joblib": {
        "n_jobs": 2,
        "pre_dispatch": "n_jobs",
        "batch_size": 1,
    },  # jobs are long, so each starts only when a worker is free
    "ray": {
        "ray.init.include_dashboard": "false",
        "ray.init.num_cpus": "null",
        "ray.init.object_store_memory": "null",  # the plugin sets it, and a running cluster refuses it
        "ray.remote.num_cpus": 1,
    },
    "submitit_local": {"timeout_min": 1440, "cpus_per_task": 1},
    "submitit_slurm": {"timeout_min": 1440, "cpus_per_task": 8, "mem_gb": 32, "array_parallelism": 16},
}
"""Launcher -> our defaults, where they differ from its plugin's; words of the command override them."""


def launcher(overrides: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """The launcher's name (``basic`` if none is chosen), Hydra's words, and all others.

    Raises
    ------
    HarnessError
        If several launchers are named, the launcher is not installed, or an option of Hydra's has several values.
    """
    hydra_words = [word for word in overrides if word.lstrip("+~").startswith(("hydra/", "hydra."))]
    named = [word.partition("=")[2] for word in hydra_words if word.lstrip("+~").startswith("hydra/launcher=")]
    swept = [override.input_line for override in compose.parse(hydra_words) if override.is_sweep_override()]
    if swept or len(named) > 1:
        several = swept[0] if swept else f"hydra/launcher={','.join(named)}"
        raise HarnessError(f"{several} names several values: a sweep has one launcher, each of its options one value.")
    name = named[0] if named else "basic"
    extra = PACKAGES.get(name)
    if extra and (find_spec("hydra_plugins") is None or find_spec(f"hydra_plugins.hydra_{extra}_launcher") is None):
        raise HarnessError(
            f"hydra/launcher={name} needs hydra-{extra}-launcher, which is not installed: `make launchers` installs it."
        )
    return name, hydra_words, [word for word in overrides if word not in hydra_words]


def prepared(launcher: str, hydra_words: Sequence[str], others: Sequence[str]) -> tuple[list[str], DictConfig]:
    """The launcher's words: `DEFAULTS`, then Hydra's words; and the options that they give the launcher.

    Raises
    ------
    HarnessError
        If the launcher has no such option, or could not start a worker with these options.
    """
    launcher_words = _with_defaults(launcher, hydra_words)
    options = OmegaConf.create(compose.launcher_options([*launcher_words, *others]))
    _check(launcher, options)
    return launcher_words, options


def run(launcher: str, launcher_words: Sequence[str], options: DictConfig, cells: Sequence[DictConfig]) -> list[str]:
    """Measure cells with many workers, by the results of `prepared`; one sentence for each cell that fails.

    Raises
    ------
    HarnessError
        If Ray cannot be started or reached.
    """
    from harness.measure.failing import Failures
    from harness.sweep import jobs

    if not cells:
        return []
    words = ["-m", *launcher_words, quoted(f"cache_dir={user_path(cells[0].cache_dir)}")]
    if launcher == "submitit_local":  # this launcher starts all jobs of a batch at once
        words.append(f"hydra.sweeper.max_batch_size={max(1, cores() // threads(options))}")
    failures = Failures()
    waves, goals = jobs.plan(cells, failures)
    if launcher == "ray" and any(waves.values()):
        _connect(options.ray)
    with jobs.announced(goals):
        for step, wave in waves.items():
            if wave:
                log.info("%s: %s", step, _counted(wave))
                _launch(words, wave)
        _launch_again(words, goals)
    if ray := sys.modules.get("ray"):
        ray.shutdown()  # the launcher leaves it connected, and would use it for the next sweep
    missed = jobs.missed(goals)
    for text in missed:  # workers have reported these, but maybe not on this terminal
        log.error("error: %s", text)
    return failures.sentences + missed


def _check(launcher: str, options: Any) -> None:
    """Refuse options with which no worker would ever start."""
    if launcher == "joblib" and options.n_jobs == 0:
        raise HarnessError("hydra.launcher.n_jobs=0: expected a number of workers, or -1 for one on each core.")
    if launcher == "submitit_slurm" and (missing := [name for name in ("sbatch", "srun") if which(name) is None]):
        raise HarnessError(
            f"hydra/launcher=submitit_slurm needs SLURM's {' and '.join(missing)}, not found on PATH: start the sweep "
            "on a machine that submits jobs, or choose hydra/launcher=joblib."
        )
    if launcher == "ray" and options.ray.init.get("address") is None:
        here, wanted = options.ray.init.get("num_cpus") or cores(), threads(options)
        if wanted > here:
            raise HarnessError(
                f"hydra.launcher.ray.remote.num_cpus={wanted} is more than the {here} of the Ray that is started here: "
                "no worker would ever start; choose fewer, or name a cluster (hydra.launcher.ray.init.address)."
            )


def _connect(options: Any) -> None:
    """Connect to Ray, or start it; the launcher then uses this connection.

    Raises
    ------
    HarnessError
        If Ray cannot be started, or is not running at the address.
    """
    import ray

    _quiet()
    init: Any = OmegaConf.to_container(options.init, resolve=True)
    address = init.get("address")
    try:
        if address is not None and (found := re.fullmatch(r"([^/:]+):(\d+)", address)):
            # Ray itself tries for minutes before it gives up.
            socket.create_connection((found[1], int(found[2])), timeout=30).close()
        ray.init(**init)
    except (OSError, ValueError, RuntimeError) as error:
        raise HarnessError(
            f"cannot start Ray, or reach it at {address} ({reason(error)}): expected the HOST:PORT that `ray start "
            "--head` printed, or none (hydra.launcher.ray.init.address=null) for workers on this machine."
        ) from error
    wanted, largest = threads({"ray": options}), max(node["Resources"].get("CPU", 0) for node in ray.nodes())
    if wanted > largest:
        log.warning("no machine of Ray's has %d CPUs (at most %d): workers wait until one joins", wanted, largest)


def _quiet() -> None:
    """Turn off Ray's usage reports and its removal of repeated log lines."""
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_DEDUP_LOGS"):
        os.environ.setdefault(name, "0")


def _launch_again(words: Sequence[str], goals: Sequence[Goal]) -> None:
    """Launch once more the jobs whose workers died.

    With some launchers the death of one worker ends the others, or prevents later ones from starting. So all jobs
    that are left are launched together, as long as this finishes at least one of them, and then each by itself.
    """
    from harness.sweep import jobs

    left, alone = jobs.undone(goals), False
    while left:
        log.info("launched again, as their workers died: %s%s", _counted(left), ", one by one" if alone else "")
        for wave in [[job] for job in left] if alone else [left]:
            _launch(words, wave)
        before, left = left, jobs.undone(goals)
        if alone or len(before) == 1:
            return
        alone = len(left) == len(before)


def _counted(wave: Sequence[Job]) -> str:
    return f"{len(wave)} job{'s' if len(wave) != 1 else ''}"


def _with_defaults(launcher: str, hydra_words: Sequence[str]) -> list[str]:
    """The word for the launcher, our defaults as words, and then Hydra's other words, which override them."""
    words = [f"hydra/launcher={launcher}"]
    words += [f"++hydra.launcher.{option}={value}" for option, value in DEFAULTS[launcher].items()]
    return words + [word for word in hydra_words if not word.lstrip("+~").startswith("hydra/launcher=")]


class _Work:
    """The function that Hydra calls in a worker; it travels there, with the jobs of its wave, as a pickle."""

    def __init__(self, wave: list[Job]) -> None:
        self.wave = wave

    def __call__(self, config: DictConfig) -> None:
        from harness.sweep import jobs

        jobs.do(self.wave[config.job_number], threads(HydraConfig.get().launcher))


def _launch(words: Sequence[str], wave: list[Job]) -> None:
    """Run the jobs of a wave. The job of a killed worker stays undone, and the next wave still runs."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises an error, instead of printing it and exiting
    try:
        hydra.through_hydra([*words, f"+job_number=range(0,{len(wave)})"], _Work(wave))
    except Exception as error:
        log.error("a worker ended early (%s); the others' work is kept", reason(error))
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def reason(error: Exception) -> str:
    """The reason why a worker ended, in one line: the error at the end of the launcher's trace, if there is one."""
    lines = str(error).strip().splitlines()
    errors = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception)\b", line)]
    return ": ".join([type(error).__name__, *(errors[-1:] or lines[:1])])


def cores() -> int:
    """Cores that this process may use; in a container or a cluster's job these may be fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def threads(options: Any) -> int:
    """Threads of a worker, from the options of its launcher: all workers together use each core once."""
    if "n_jobs" in options:  # joblib: processes of one machine; -1 is one for each core
        return max(1, cores() // (options.n_jobs if options.n_jobs > 0 else cores()))
    if "ray" in options:
        return max(1, int(options["ray"].remote.get("num_cpus") or 1))
    return int(options.get("cpus_per_task") or cores())
