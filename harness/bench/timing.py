"""One case of the benchmark: our implementation, a peer and a limit are timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from threadpoolctl import threadpool_info

from harness.system import provenance

Work = Callable[[], Any]
_REST = 0.2  # seconds before each run: threads of BLAS and OpenMP spin for a while after a run


@dataclass(frozen=True)
class Case:
    """A case to be timed.

    Attributes
    ----------
    what : the group of the case, one of `harness.bench.WHAT`
    case : what is timed, with its sizes
    ours : this project's implementation
    peer : name of the peer's distribution, and the function that is called; "" if there is no peer
    peer_run : the peer's implementation; None if it is not installed
    limit : work that no implementation can avoid (a plain product of the same shape), or its seconds; None: unknown
    agree : takes our result and the peer's, and raises AssertionError if they differ; the peer is then not timed
    """

    what: str
    case: str
    ours: Work
    peer: tuple[str, str] = ("", "")
    peer_run: Work | None = None
    limit: Work | float | None = None
    agree: Callable[[Any, Any], None] | None = None


@dataclass(frozen=True)
class Row:
    """The times of a case, in seconds.

    Attributes
    ----------
    what, case : those of the `Case`
    peer, peer_version : the peer's function, and the version of its distribution; "" without a peer
    ratio_peer : peer / ours; above 1, ours is faster
    ratio_limit : limit / ours; 1 is the limit itself
    spread : half the range of our times, divided by their median
    runs : number of timed runs
    host : the machine and its BLAS (`host`)
    peak_mb : peak resident memory of the process in MB, or, of a case for a GPU, peak memory on the GPU; None if it was
        not measured
    documents : how many documents the case is about, where documents per second are shown
    operations : how many floating-point operations the case has, where operations per second are shown
    disk_mb : size of the index that is kept, in MB; None without one
    found : what ours and the peer found, where results of the same quality may differ; "" elsewhere
    """

    what: str
    case: str
    peer: str
    peer_version: str
    ours_seconds: float
    peer_seconds: float | None
    limit_seconds: float | None
    ratio_peer: float | None
    ratio_limit: float | None
    spread: float
    runs: int
    host: dict[str, Any]
    peak_mb: float | None = None
    documents: int | None = None
    operations: int | None = None
    disk_mb: float | None = None
    found: str = ""


def timed(case: Case, runs: int) -> Row:
    """Time a case: one run to warm up and to compare results, then `runs` runs in turns."""
    works = {"ours": case.ours, "peer": case.peer_run, "limit": case.limit if callable(case.limit) else None}
    results = {name: work() for name, work in works.items() if work is not None}
    note = ""
    if case.agree and "peer" in results:
        try:
            case.agree(results["ours"], results["peer"])
        except AssertionError:  # such as maxsim-cpu 0.1.0 for long queries, or PyLate where its zero padding wins
            works["peer"], note = None, " gives other results: not timed"
    del results
    seconds: dict[str, list[float]] = {name: [] for name, work in works.items() if work is not None}
    for _ in range(runs):
        for name in seconds:
            time.sleep(_REST)
            began = time.perf_counter()
            works[name]()  # type: ignore[misc]
            seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    limit = median.get("limit", None if callable(case.limit) else case.limit)
    measured = row(case, median["ours"], median.get("peer"), limit, seconds["ours"])
    return replace(measured, peer_version=measured.peer_version + note)


def row(case: Case, ours: float, peer: float | None, limit: float | None, all_ours: list[float]) -> Row:
    """The row of a case, from its median seconds and all runs of ours."""
    return Row(
        what=case.what,
        case=case.case,
        peer=case.peer[1],
        peer_version=installed(case.peer[0]) if case.peer[0] else "",
        ours_seconds=ours,
        peer_seconds=peer,
        limit_seconds=limit,
        ratio_peer=None if peer is None else peer / ours,
        ratio_limit=None if limit is None else limit / ours,
        spread=(max(all_ours) - min(all_ours)) / 2 / ours,
        runs=len(all_ours),
        host=host(),
    )


def installed(package: str) -> str:
    """The version of a package, or ``missing``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def host() -> dict[str, Any]:
    """The machine and its BLAS (OpenBLAS chooses its kernels by the CPU, or by OPENBLAS_CORETYPE)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    blas = [
        f"{library['internal_api']} {library['version']} {library.get('architecture', '')}"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    return {**provenance.host(device), "blas": blas, "torch": torch.__version__, "commit": provenance.commit()}
