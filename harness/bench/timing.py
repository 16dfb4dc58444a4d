"""One case of the benchmark: ours, a peer and a limit, timed in turns."""

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
_REST = 0.2  # seconds before each run: BLAS's and OpenMP's threads go on spinning for a while after theirs


@dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes
    ----------
    peer : distribution name of the peer, and what of it is called; "" if there is none
    peer_run : None where the peer is not installed
    limit : work that no implementation can leave out (a plain product of the same shape), or its seconds
    agree : raises AssertionError if ours and the peer's result differ, and the peer is then not timed
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
    """What was measured. Ratios: peer / ours (above 1, ours is faster), limit / ours (1 is the limit itself).

    Attributes
    ----------
    spread : half the range of ours, as a share of its median
    peak_mb : peak resident memory of the process, where it is what is measured
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


def timed(case: Case, runs: int) -> Row:
    """Run a case: once to warm up and compare, then `runs` times in turns."""
    works = {"ours": case.ours, "peer": case.peer_run, "limit": case.limit if callable(case.limit) else None}
    results = {name: work() for name, work in works.items() if work is not None}
    note = ""
    if case.agree and "peer" in results:
        try:
            case.agree(results["ours"], results["peer"])
        except AssertionError:  # as maxsim-cpu 0.1.0 for long queries, or PyLate where its zero padding wins
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
    """The row of a case from its seconds."""
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
    """The machine, and what BLAS runs on it (OpenBLAS picks its kernels by the CPU, or by OPENBLAS_CORETYPE)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    blas = [
        f"{one['internal_api']} {one['version']} {one.get('architecture', '')}"
        for one in threadpool_info()
        if one["user_api"] == "blas"
    ]
    return {**provenance.host(device), "blas": blas, "torch": torch.__version__, "commit": provenance.commit()}
