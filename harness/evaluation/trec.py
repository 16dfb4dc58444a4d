"""TREC run files: `query Q0 document rank score tag`, one file for each rerank depth, gzipped.

Fields are separated by blanks, so a blank inside an id is written as in a URL, %20, and so is the sign % itself: %25.
"""

from __future__ import annotations

import glob
import gzip
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from harness.data.dataset import Dataset
from harness.system.errors import HarnessError
from harness.system.files import replacing

Names = tuple[str, str, str, str]
"""(data set, model, center, method)"""


def exist(results: Path, names: Names, depths: Iterable[str], seeds: Sequence[int | None]) -> bool:
    """Whether the run files of a cell exist at all of the given depths, for each of its draws."""
    return all(_path(results, names, depth, seed).exists() for depth in depths for seed in seeds)


def remove(results: Path, names: Names, kept: Collection[Path] = ()) -> None:
    """Delete the run files of a cell at all depths, for all draws, but those that are `kept`."""
    folder = _path(results, names, "*", None).parent
    for draw in ("", ".seed*"):
        for file in folder.glob(f"{glob.escape(names[-1])}{draw}.rk*.trec.gz"):
            if file not in kept:
                file.unlink()


def _path(results: Path, names: Names, depth: str, seed: int | None) -> Path:
    *folders, method = names
    draw = "" if seed is None else f".seed{seed}"
    return results.joinpath("runs", *folders, f"{method}{draw}.rk{depth}.trec.gz")


def save(
    results: Path, names: Names, dataset: Dataset, rankings: dict[str, np.ndarray], seed: int | None
) -> list[Path]:
    """Write results/runs/<data set>/<model>/<center>/<method>[.seed<seed>].rk<depth>.trec.gz; returns their paths.

    The score is k - rank, as in the evaluation: strictly decreasing, so that readers need not break ties.

    Parameters
    ----------
    rankings
        depth -> int64 [queries, k], document rows, -1 for no document
    seed
        The seed of the draw. It is None if the cell's only draw has its method's own seed: no name then has a seed.

    Raises
    ------
    HarnessError
        If the files cannot be written.
    """
    method = names[-1]
    docs, queries = [field(name) for name in dataset.docs], [field(name) for name in dataset.queries]
    paths = {depth: _path(results, names, depth, seed) for depth in rankings}
    try:
        for depth, rows in rankings.items():
            with (
                replacing(paths[depth]) as compressed,
                gzip.open(compressed, "wt", encoding="utf-8") as file,
            ):
                for query, best in zip(queries, rows, strict=True):
                    for rank, row in enumerate(best[best >= 0]):
                        file.write(f"{query} Q0 {docs[row]} {rank + 1} {rows.shape[1] - rank} {method}\n")
    except OSError as error:
        raise HarnessError(
            f"cannot write run files to {results} ({error.strerror}): set results_dir to a folder that can be written."
        ) from error
    return [*paths.values()]


def field(name: str) -> str:
    """An id with its blanks escaped; two ids stay two."""
    return re.sub(r"[\s%]", lambda blank: quote(blank[0]), name)
