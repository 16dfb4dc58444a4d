"""The tables over suite offline8: the README's answer, and all measured rows beside those of the model card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import yaml
from pages import MODEL, RESULTS  # beside this file

from harness import records, tables
from harness.config import entries, recommended
from harness.methods import registry
from harness.tables import formats, titles

ANSWER_DEPTHS = (0, 50, 100)
RECIPES = {"raw vectors": "none", "the card's recipe": "corpus", "best without training": recommended.NAME}
"""What the README calls a recipe -> its centering."""
Names = tuple[str, str, str]
"""Model, centering, method."""


def means() -> dict[Names, dict[str, float]]:
    """Mean NDCG@10 (0 to 1) over the suite by depth, for every row that was measured on all eight sets."""
    datasets = entries.entry("suite", "offline8")["datasets"]
    cells: dict[Names, dict[str, records.Record]] = {}
    for record in [record for folder in (RESULTS, RESULTS / "ste") for record in records.read_all(folder, datasets)]:
        cells.setdefault((record.model, record.center, record.method), {})[record.dataset] = record
    return {
        names: {
            depth: float(np.mean([record.ndcg10[depth] for record in by_dataset.values()]))
            for depth in next(iter(by_dataset.values())).ndcg10
        }
        for names, by_dataset in cells.items()
        if len(by_dataset) == len(datasets)
    }


def answer() -> str:
    """A line for each recipe and method: NDCG@10 x 100 at three depths, PLAID as the last line."""
    datasets = entries.entry("suite", "offline8")["datasets"]
    measured = [record for record in records.read_all(RESULTS, datasets) if record.model == MODEL]
    lines = []
    for recipe, center in RECIPES.items():
        for method in ("muvera", "smve"):
            row = tables.Row(MODEL, recommended.name(method) if center == recommended.NAME else center, method)
            found = tables.long_form(measured, [row], datasets, ANSWER_DEPTHS)
            means = found[found["dataset"] == tables.MEAN][["ndcg10", "sd", "delta"]]
            values = [formats.score(*line) for line in means.itertuples(index=False)]
            lines.append([recipe, registry.title(method), *values])
    plaid = f"{100 * means_of_plaid(measured):.2f}"
    lines.append(["", registry.title("plaid"), *[plaid] * len(ANSWER_DEPTHS)])
    columns = ["Recipe", "Method", *(f"rk={depth}" for depth in ANSWER_DEPTHS)]
    return formats.pipes(pd.DataFrame(lines, columns=columns))


def means_of_plaid(measured: Sequence[records.Record]) -> float:
    """PLAID's mean over the sets."""
    return float(np.mean([record.ndcg10[records.FINAL] for record in measured if record.method == "plaid"]))


def beside_the_card() -> str:
    """Means over suite offline8 of every model that has all eight sets, and then the card's own rows."""
    found_means = means()
    in_order = sorted(found_means.items(), key=lambda item: (item[0][0], item[0][1] != "none"))
    lines = []
    for (model, center, method), found in in_order:
        shown = {"none": "no", "corpus": "yes", recommended.name(method): "best without training"}
        if center in shown and method in ("muvera", "smve"):
            kind = "plaid" if (model, "none", "plaid") in found_means else "exact"
            reference = (100 * found_means[model, "none", kind][records.FINAL], registry.title(kind))
            names = (_short(model), "measured", shown[center], method)
            lines.append(_beside(names, reference, {depth: 100 * value for depth, value in found.items()}))
    card = yaml.safe_load((RESULTS / "expected" / "card.yaml").read_text(encoding="utf-8"))
    plaid_of = {row["model"]: row["plaid"] for row in card["rows"] if "plaid" in row}
    for row in card["rows"]:
        names = (titles.title(row["model"]), "the card's", row["center"], row["method"])
        by_depth = dict(zip(card["depths"], row["ndcg10"], strict=True))
        lines.append(_beside(names, (plaid_of[row["model"]], "PLAID"), by_depth))
    return formats.pipes(pd.DataFrame(lines))


def _short(model: str) -> str:
    """A model's title; for a variant with a trained head, the head is its only option that is shown."""
    return titles.title(model.split("+")[0]) + (f", head {model.split('head=')[1]}" if "head=" in model else "")


def _beside(
    names: tuple[str, str, str, str], reference: tuple[float, str], by_depth: dict[str, float]
) -> dict[str, str]:
    """A line of the table: the row, the reference of its differences, and NDCG@10 x 100 by depth."""
    (model, source, center, method), (value, kind) = names, reference
    shown = {"Model": model, "Numbers": source, "Center": center, "Reference": f"{value:.2f} ({kind})"}
    shown["Method"] = registry.title(method)
    for depth, found in by_depth.items():
        shown[f"rk={depth}"] = _with_difference(found, value)
    return shown


def _with_difference(value: float, reference: float) -> str:
    return f"{value:.2f} ({formats.signed(value - reference)})"
