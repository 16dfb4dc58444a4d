"""The tables and figures of results/GEOMETRY.md."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from pages import MODEL, RESULTS, printed, splice  # beside this file

from harness.config import entries
from harness.geometry import file, tables
from harness.geometry.moments import MEASURES, spaces
from harness.vectors.centering import token_mean
from harness.vectors.store import StoreInMemory


def geometry_overview() -> str:
    """A line for each geometry of the shipped model: the cone, before and after centering."""
    lines = []
    for name in entries.entry("suite", "beir3")["datasets"]:
        found = file.read(file.path_of(RESULTS, name, MODEL))
        line = {"data set": name, "tokens": f"{found['documents']['raw']['n']:,}"}
        for side, seen in (("documents", ("raw", "centered")), ("queries", ("raw", "centered", "own"))):
            for space in seen:
                line[f"cosine, {side} {space}"] = f"{found[side][space]['mean_pairwise_cosine']:.3f}"
        line["stable rank, corpus"] = f"{found['documents']['centered']['stable_rank']:.1f}"
        line["stable rank, within documents"] = f"{found['within_document']['centered']['stable_rank']:.1f}"
        lines.append(line)
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)) + "\n"


def lateon_queries(data: Path) -> str:
    """Measures of the real query vectors of LateOn-regularized (50 queries of each of four sets); "" without them."""
    lines = []
    for path in sorted((data / "embeddings" / "lateon-regularized-queries").glob("*/tokens.npy")):
        tokens, lengths = (np.load(path.with_name(f"{n}.npy"), allow_pickle=False) for n in ("tokens", "lengths"))
        store = StoreInMemory(tokens, lengths)
        for name, space in zip(("raw", "own"), spaces(store, [None, token_mean(store)]), strict=True):
            shown = {measure.replace("_", " "): f"{space.measures[measure]:.3f}" for measure in MEASURES}
            lines.append({"queries of": path.parent.name, "space": name, **shown, "tokens": space.moments.n})
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)) + "\n" if lines else ""


def geometry() -> None:
    """Write the tables and figures of results/GEOMETRY.md."""
    page = RESULTS / "GEOMETRY.md"
    found = file.read(file.path_of(RESULTS, "scifact", MODEL))
    splice(page, "overview", geometry_overview())
    splice(page, "scifact", tables.measures(found) + "\n\n" + tables.first_stages(found))
    for name, head in (("muvera", "ste_muvera_s0"), ("smve", "ste_smve_s0")):
        a, b = (f"{MODEL}+dtype=bfloat16+head={side}" for side in ("untrained_s0", head))
        lines = printed("geometry", "compare", f"a={a}", f"b={b}").splitlines()
        splice(page, f"compare {name}", "\n".join(line for line in lines if not line.startswith("| within")))
    if os.environ.get("HARNESS_DATA") and (text := lateon_queries(Path(os.environ["HARNESS_DATA"]))):
        splice(page, "lateon", text)
    for suite in ("beir3", "offline8"):
        printed("plot", "what=depth", f"suite={suite}", f"model={MODEL}")
    printed("plot", "what=budget", "dataset=cisi", f"model={MODEL}")
    for kind in ("spectrum", "cosines", "buckets", "overlap", "agreement"):
        printed("plot", f"what={kind}", "dataset=scifact", f"model={MODEL}")
