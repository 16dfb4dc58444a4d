"""TREC run files: `query Q0 document rank score tag`, one file for each rerank depth, gzipped.

Fields are separated by blanks, so a blank inside an id is written as in a URL, %20, and so is the sign % itself: %25.
"""

from __future__ import annotations

import glob
import gzip
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np

from harness.data.dataset import Dataset
from harness.system.errors import HarnessError
from harness.system.files import replacing


def exist(results: Path, names: tuple[str, str, str, str], depths: Iterable[str]) -> bool:
    """Whether the run files of a cell exist at all of the given depths."""
    return all(_path(results, names, depth).exists() for depth in depths)


def remove(results: Path, names: tuple[str, str, str, str]) -> None:
    """Delete the run files of a cell at all depths."""
    path = _path(results, names, "*")
    for file in path.parent.glob(f"{glob.escape(names[-1])}.rk*.trec.gz"):
        file.unlink()


def _path(results: Path, names: tuple[str, str, str, str], depth: str) -> Path:
    *folders, method = names
    return results.joinpath("runs", *folders, f"{method}.rk{depth}.trec.gz")


def save(results: Path, names: tuple[str, str, str, str], dataset: Dataset, rankings: dict[str, np.ndarray]) -> None:
    """Write results/runs/<data set>/<model>/<center>/<method>.rk<depth>.trec.gz.

    The score is k - rank, as in the evaluation: strictly decreasing, so that readers need not break ties.

    Parameters
    ----------
    names
        (data set, model, center, method)
    rankings
        depth -> int64 [queries, k], document rows, -1 for no document

    Raises
    ------
    HarnessError
        If the files cannot be written.
    """
    method = names[-1]
    docs, queries = [_field(name) for name in dataset.docs], [_field(name) for name in dataset.queries]
    try:
        for depth, rows in rankings.items():
            with (
                replacing(_path(results, names, depth)) as compressed,
                gzip.open(compressed, "wt", encoding="utf-8") as file,
            ):
                for query, best in zip(queries, rows, strict=True):
                    for rank, row in enumerate(best[best >= 0]):
                        file.write(f"{query} Q0 {docs[row]} {rank + 1} {rows.shape[1] - rank} {method}\n")
    except OSError as error:
        raise HarnessError(
            f"cannot write run files to {results} ({error.strerror}): set results_dir to a folder that can be written."
        ) from error


def _field(name: str) -> str:
    """An id with its blanks escaped; two ids stay two."""
    return re.sub(r"[\s%]", lambda blank: quote(blank[0]), name)
