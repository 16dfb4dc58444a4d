"""How models, centerings and methods are called in tables."""

from __future__ import annotations

from collections.abc import Sequence

from harness.config.entries import choices, entry

CENTERS = {"none": "no", "corpus": "yes", "own": "own"}


METHODS = {"plaid": "PLAID", "muvera": "MUVERA", "smve": "SMVE", "exact": "exact MaxSim"}


MISSING = "–"


def center_label(center: str) -> str:
    """`no`, `yes` or `own`, with the options of a variant behind it."""
    base, *rest = center.split("+")
    return "+".join([CENTERS.get(base, base), *rest])


def title(model: str) -> str:
    """A model's title in tables, with the options of a variant behind it."""
    base, *rest = model.split("+")
    found = entry("model", base).get("title") if base in choices("model") else None
    return " ".join([found or base, *rest])


def method_title(method: str) -> str:
    """A method's title in tables, with the options of a variant behind it."""
    base, *rest = method.split("+")
    return " ".join([METHODS.get(base, base), *rest])


def scope(count: int, datasets: Sequence[str]) -> str:
    """What stands behind the model of a line that is about some of the data sets only."""
    return f" [{count} of {len(datasets)} sets]" if 0 < count < len(datasets) else ""
