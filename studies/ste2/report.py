"""From records to scores.npz, geometry.csv and weights.json in results/ste2, and from these to tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from typing import Any

import claims  # beside this file, as are arms, comparisons and measure
import numpy as np
import pandas as pd
from arms import RESULTS, arms, head
from comparisons import exploratory, primary
from measure import DATASETS, UNTRAINED
from measure import records as folder
from shared import SMVE_MAIN

from harness import records
from harness.config import recommended
from harness.system.files import read_arrays, write_arrays, write_json, write_text
from harness.tables import formats

ARRAYS, GEOMETRY, WEIGHTS = RESULTS / "scores.npz", RESULTS / "geometry.csv", RESULTS / "weights.json"
KEPT = ("head", "adapter")
"""Capacities whose weights are committed; each layer of the others has 7 MB in each arm."""
SHAPES = {
    "mean_pairwise_cosine": "Mean cosine",
    "stable_rank": "Stable rank",
    "effective_rank": "Effective rank",
    "top_share": "Top share",
}
"""Measure of geometry -> its column."""
SHAPE = ["Model", "Data set", "Space"]
"""What a line of geometry.csv is of."""
_MAIN = {f"{name}={value}" for name, value in SMVE_MAIN.items()}


def collect() -> None:
    """Write scores.npz (``data set/model/recipe/method/depth`` -> [queries]) and geometry.csv; keep small heads.

    What has no record here stays as it is, such as that of another machine. But all figures of a model that was trained
    again are replaced: weights.json has the fingerprint of the weights that were measured.
    """
    found = [*records.read_all(folder(), DATASETS)]
    lie = [json.loads(path.read_text()) for path in sorted(folder().glob("geometry/*/*.json"))]
    weights = fingerprints(
        [*((one.model, one.identity) for one in found), *((one["model"], one["identity"]) for one in lie)]
    )
    before = json.loads(WEIGHTS.read_text()) if WEIGHTS.exists() else {}
    other = [model for model, own in weights.items() if before.get(model) != own]
    earlier = read_arrays(ARRAYS) if ARRAYS.exists() else {}
    kept = {key: values for key, values in earlier.items() if key.split("/")[1] not in other}
    write_arrays(ARRAYS, **{**kept, **scores(found)})
    if lie:
        lines = shapes(lie)
        if GEOMETRY.exists():
            old = pd.read_csv(GEOMETRY)
            lines = pd.concat([old[~old["Model"].isin(other)], lines]).drop_duplicates(SHAPE, keep="last")
        write_text(GEOMETRY, lines.to_csv(index=False, float_format="%.6g"))
    write_json(WEIGHTS, {**before, **weights})
    (RESULTS / "heads").mkdir(exist_ok=True)
    for arm in arms(KEPT):
        if head(arm.name).exists():
            shutil.copyfile(head(arm.name), RESULTS / "heads" / f"{arm.name}.safetensors")


def fingerprints(measured: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Model -> the fingerprint of its weights, from names of models and what their scores depend on.

    Raises
    ------
    ValueError
        If a model has two.
    """
    weights: dict[str, str] = {}
    for name, identity in measured:
        if weights.setdefault(_model(name), identity["weights"]) != identity["weights"]:
            raise ValueError(f"{_model(name)}: the records are of two trainings; delete those of the first")
    return weights


def shapes(found: list[dict[str, Any]]) -> pd.DataFrame:
    """How the document tokens of each model lie, on each data set and under each centering that was measured."""
    lines = [
        {"Model": _model(one["model"]), "Data set": one["dataset"], "Space": space, **measures}
        for one in found
        for space, measures in one["documents"].items()
        if isinstance(measures, dict)
    ]
    return pd.DataFrame(lines)


def spread(measured: pd.DataFrame) -> pd.DataFrame:
    """A line for each kind of model and space: means over the data sets, of the runs, ± their standard deviation."""
    kind = measured["Model"].str.replace(r"-\d+$", "", regex=True)
    of_run = measured.assign(Kind=kind).groupby(["Kind", "Space", "Model"])[list(SHAPES)].mean()
    lines = []
    for (name, space), own in of_run.groupby(["Kind", "Space"]):
        values = {
            text: formats.score(own[measure].mean(), own[measure].std(ddof=1), np.nan)
            for measure, text in SHAPES.items()
        }
        lines.append({"Model": name, "Space": space, **values, "Runs": str(len(own))})
    return pd.DataFrame(lines)


def scores(found: list[records.Record]) -> dict[str, np.ndarray]:
    """The scores of records, means over their draws; those without depths stand at depth 0.

    Raises
    ------
    ValueError
        If two records of a data set have other queries, or in another order.
    """
    arrays: dict[str, np.ndarray] = {}
    queries: dict[str, list[str]] = {}
    for record in found:
        if queries.setdefault(record.dataset, record.per_query["queries"]) != record.per_query["queries"]:
            raise ValueError(f"{record.dataset}: the records have different queries")
        for depth in record.ndcg10:
            values = record.per_query[depth]
            at = "0" if depth == records.FINAL else depth
            key = f"{record.dataset}/{_model(record.model)}/{_recipe(record.center)}/{method_of(record.method)}/{at}"
            arrays[key] = np.array(values, dtype=np.float32)
    return arrays


def method_of(variant: str) -> str:
    """A method, with the options in which it differs from the study's own: the harness's default SMVE is no such."""
    name, *options = variant.split("+")
    others = [one for one in options if one != "anchors=hadamard"]
    if name == "smve":
        others = [] if set(others) == _MAIN else others or ["default"]
    return "+".join([name, *others])


def _model(name: str) -> str:
    """What the study calls a model of the records: the arm whose file it reads."""
    return name.rpartition("head=")[2] if "head=" in name else UNTRAINED


def _recipe(center: str) -> str:
    """What the study calls a centering: it measures no other shrunk one than the recommended one."""
    return recommended.NAME if center.startswith("shrunk") else center


def means(arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    """Every model in every cell: its mean on each data set, in points, and over all eight."""
    by_cell: dict[tuple[str, ...], dict[str, float]] = {}
    for key, values in arrays.items():
        dataset, *cell = key.split("/")
        by_cell.setdefault(tuple(cell), {})[dataset] = 100 * float(values.mean())
    lines = [
        {
            "Model": model,
            "Center": recipe,
            "Method": method,
            "rk": int(depth),
            **{name: sets.get(name) for name in DATASETS},
        }
        for (model, recipe, method, depth), sets in sorted(by_cell.items())
    ]
    table = pd.DataFrame(lines)
    return table.assign(Mean=table[list(DATASETS)].mean(axis=1, skipna=False))


def alone(gains: pd.DataFrame) -> pd.DataFrame:
    """The exploratory gains of exact MaxSim and of first stages alone; each over the most runs, then sets."""
    found = gains[gains["Measured"].isin(["exact", "muvera", "smve", "binary", "plaid"]) & (gains["rk"] == 0)]
    cell = ["Capacity", "Domain", "Trained", "Against", "Measured", "Center"]
    ordered = found.sort_values(["Runs", "Sets"], key=pd.to_numeric, ascending=False, kind="stable")
    return ordered.drop_duplicates(cell).sort_index().drop(columns="rk").astype(str)


def write() -> None:
    """Write the tables of what has been measured."""
    arrays = read_arrays(ARRAYS)
    geometry = pd.read_csv(GEOMETRY) if GEOMETRY.exists() else pd.DataFrame()
    others, planned = exploratory(arrays), primary(arrays)
    of_card = claims.table(arrays, planned, geometry)
    write_text(RESULTS / "comparisons.csv", others.to_csv(index=False))
    write_text(RESULTS / "means.csv", means(arrays).to_csv(index=False, float_format="%.2f"))
    tables = {"primary": planned, "claims": of_card, "alone": alone(others)}
    if not geometry.empty:
        tables["geometry"] = spread(geometry)
    for name, table in tables.items():
        write_text(RESULTS / f"{name}.md", formats.pipes(table) + "\n")
