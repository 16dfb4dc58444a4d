"""The scores that the report is made from: per query for the main cells, means for all cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import settings  # beside this file
from settings import RESULTS

from harness.system.files import read_arrays

ARMS = ("untrained", *settings.ARMS)
METHODS = {"muvera": "MUVERA", "smve": "SMVE"}
CENTERS = {"none": "no", "corpus": "yes", "own": "own"}
DEPTHS = ("0", "50", "100", "200", "400", "1000")
DEFAULT_SEED = 42
SMVE_MAIN = " ".join(f"{name}={value}" for name, value in settings.SMVE_MAIN.items())
MEASURES = ("mean_pairwise_cosine", "stable_rank", "participation_ratio", "effective_rank", "top_share")


class Scores:
    """Per-query NDCG@10 of the main cells, and the means of all cells."""

    def __init__(self) -> None:
        self.main = read_arrays(RESULTS / "per_query.npz")
        self.table = pd.read_csv(RESULTS / "transfer.csv", keep_default_na=False, dtype={"depth": str})
        keys = [key.split("/") for key in self.main]
        self.datasets = sorted({key[0] for key in keys})
        self.seeds = {arm: sorted({int(key[2]) for key in keys if key[1] == arm}) for arm in ARMS}

    def of(
        self, arm: str, center: str, method: str, depth: str, seeds: list[int] | None = None
    ) -> dict[str, np.ndarray]:
        """Data set -> NDCG@10 of each query, mean over training seeds."""
        row = 0 if method == "exact" else DEPTHS.index(depth)
        center = "none" if method == "exact" else center
        seeds = self.seeds[arm] if seeds is None else seeds
        return {
            dataset: np.mean([self.main[f"{dataset}/{arm}/{s}/{center}/{method}"][row] for s in seeds], axis=0)
            for dataset in self.datasets
        }

    def mean(self, *cell: Any) -> float:
        """Mean over queries, then data sets."""
        return float(np.mean([values.mean() for values in self.of(*cell).values()]))


def transfer_sets(scores: Scores) -> list[str]:
    """The data sets that every variant was measured on."""
    table = scores.table
    return sorted(table[table["params"] != ""]["dataset"].unique())
