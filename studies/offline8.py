"""The tables over suite offline8: the README's answer, and all measured rows beside those of the model card."""

from __future__ import annotations

import numpy as np
import pandas as pd
import yaml
from pages import MODEL, RESULTS  # beside this file

from harness import records
from harness.config import entries
from harness.methods import registry
from harness.tables import formats, titles
from harness.vectors import centering

ANSWER_DEPTHS = ("0", "100", "1000")
SPACES = {"raw": "raw", "centered": "centered", "own": "own mean"}
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
    """A line for each centering and method: NDCG@10 x 100 at three depths, PLAID as the last line."""
    found, lines = means(), []
    plaid = 100 * found[MODEL, "none", "plaid"][records.FINAL]
    for center, kind in centering.constant_kinds().items():
        for method in ("muvera", "smve"):
            values = {depth: 100 * found[MODEL, center, method][depth] for depth in ANSWER_DEPTHS}
            shown = {"Token vectors": SPACES[kind.space], "Method": registry.title(method)}
            lines.append(
                {**shown, **{f"rk={depth}": _with_difference(value, plaid) for depth, value in values.items()}}
            )
    last = {"Token vectors": "raw", "Method": registry.title("plaid")}
    lines.append({**last, **{f"rk={depth}": f"{plaid:.2f}" for depth in ANSWER_DEPTHS}})
    return formats.pipes(pd.DataFrame(lines))


def beside_the_card() -> str:
    """Means over suite offline8 of every model that has all eight sets, and then the card's own rows."""
    found_means = means()
    in_order = sorted(found_means.items(), key=lambda item: (item[0][0], item[0][1] != "none"))
    shown, lines = {"none": "no", "corpus": "yes"}, []
    for (model, center, method), found in in_order:
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
