"""From records and geometries to per_query.npz, transfer.csv and geometry.csv."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scores import DEFAULT_SEED, DEPTHS, SMVE_MAIN  # beside this file
from settings import RESULTS

from harness import records
from harness.system.files import write_arrays, write_text


def collect(cache: Path) -> None:
    """Write the files that the report is made from, from the records and geometries of `study.py measure`."""
    rows: list[dict[str, Any]] = []
    scores: dict[str, Any] = {}
    for record in records.read_all(cache):
        trained, train_seed = _arm(record.model)
        method, *changed = record.method.split("+")
        options = dict(change.split("=") for change in changed)
        seed = 0 if method == "exact" else int(options.pop("seed", DEFAULT_SEED))
        params = _params(method, options)
        row = {"trained": trained, "method": method, "center": record.center.split("+")[0]}
        for depth, value in record.ndcg10.items():
            more = {"train_seed": train_seed, "projection_seed": seed, "params": params}
            rows.append({**row, "depth": depth, "dataset": record.dataset, **more, "ndcg10": round(value, 6)})
        if not params and (method == "exact" or seed == DEFAULT_SEED):
            key = f"{record.dataset}/{trained}/{train_seed}/{row['center']}/{method}"
            values = [record.per_query[depth] for depth in ((records.FINAL,) if method == "exact" else DEPTHS)]
            scores[key] = np.array(values, dtype=np.float32)
    columns = ["trained", "method", "center", "depth", "dataset", "train_seed", "projection_seed", "params", "ndcg10"]
    table = pd.DataFrame(rows)[columns].sort_values(columns[:-1])
    write_text(RESULTS / "transfer.csv", table.to_csv(index=False))
    write_arrays(RESULTS / "per_query.npz", **scores)
    found = [json.loads(path.read_text()) for path in sorted((cache / "geometry").glob("*.json"))]
    write_text(RESULTS / "geometry.csv", pd.DataFrame(_flat(found)).to_csv(index=False, float_format="%.6g"))


def _params(method: str, changed: dict[str, str]) -> str:
    """What differs from the study's own setting of a method, in words; empty: nothing."""
    if method == "smve":
        sizes = f"width={changed.get('width', 65536)} keep={changed.get('keep', 32)}"
        return "" if sizes == SMVE_MAIN else sizes
    return " ".join(f"{name}={value}" for name, value in sorted(changed.items()))


def _arm(model: str) -> tuple[str, int]:
    found = re.search(r"head=(\w+)_s(\d+)$", model)
    if not found:
        raise SystemExit(f"the record of {model} is not of this study: expected a head such as ste_muvera_s0.")
    return found[1], int(found[2])


def _flat(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        for side in ("documents", "queries"):
            for space, measures in one[side].items():
                if isinstance(measures, dict):
                    names = {"dataset": one["dataset"], "trained": one["arm"], "train_seed": one["seed"]}
                    rows.append({**names, "side": side, "space": space, "n": one[side]["n"], **measures})
    return rows
