"""TREC run files: `query Q0 document rank score tag`, one file for each rerank depth, gzipped."""

from __future__ import annotations

import glob
import gzip
from pathlib import Path

import numpy as np

from harness.datasets import Dataset
from harness.errors import HarnessError


def exists(results: Path, names: tuple[str, str, str, str]) -> bool:
    """Whether run files of a cell were written."""
    *folders, method = names
    return any(results.joinpath("runs", *folders).glob(f"{glob.escape(method)}.rk*.trec.gz"))


def save(results: Path, names: tuple[str, str, str, str], dataset: Dataset, rankings: dict[str, np.ndarray]) -> None:
    """Write results/runs/<data set>/<model>/<center>/<method>.rk<depth>.trec.gz.

    The score is k - rank, as the evaluation sees it: strictly decreasing, so that no reader breaks ties its own way.

    Parameters
    ----------
    names
        (data set, model, center, method)
    rankings
        depth -> int64 [queries, k], document rows, -1 where there is none
    """
    *folders, method = names
    folder = results.joinpath("runs", *folders)
    docs = list(dataset.docs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for depth, rows in rankings.items():
            path = folder / f"{method}.rk{depth}.trec.gz"
            temporary = path.with_suffix(".tmp")
            with gzip.open(temporary, "wt", encoding="utf-8") as file:
                for query, best in zip(dataset.queries, rows, strict=True):
                    for rank, row in enumerate(best[best >= 0]):
                        file.write(f"{query} Q0 {docs[row]} {rank + 1} {rows.shape[1] - rank} {method}\n")
            temporary.replace(path)
    except OSError as error:
        raise HarnessError(f"cannot write run files to {folder} ({error.strerror}): set results_dir.") from error
