"""What it takes to measure a model on data sets: documents, tokens, hours (sizes and rates: conf/effort.yaml).

    seconds = tokens x parameters of the model / (rate x parameters of the model that the rate was measured with)

These are the hours of encoding the documents alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from harness.config.entries import CONF_DIR, choices, entry


@dataclass(frozen=True)
class Effort:
    """The documents of some data sets, their tokens, and the seconds of encoding them on each kind of machine."""

    datasets: int
    documents: int
    tokens: float
    seconds: dict[str, float]


@cache
def rates() -> dict[str, Any]:
    """The content of conf/effort.yaml."""
    return dict(yaml.safe_load((CONF_DIR / "effort.yaml").read_text(encoding="utf-8")))


def of(model: str, datasets: Iterable[str]) -> Effort:
    """What it takes to encode the documents of data sets that are in conf/effort.yaml; others are left out.

    Parameters
    ----------
    model
        An entry of conf/model or conf/encoder, or a variant of one.
    """
    known = rates()
    sizes = {name: documents(name) for name in dict.fromkeys(datasets) if name in known["characters"]}
    most = entry("encoder", model).get("max_length") if model in choices("encoder") else None
    tokens = sum(count * tokens_per_document(name, most) for name, count in sizes.items())
    parameters = known["parameters"].get(model.split("+")[0], known["parameters"]["default"])
    seconds = {
        machine: tokens * parameters / (rate["tokens_per_second"] * rate["parameters"])
        for machine, rate in known["rates"].items()
    }
    return Effort(len(sizes), sum(sizes.values()), float(tokens), seconds)


def documents(dataset: str) -> int:
    """The documents of an entry of conf/dataset; 0 for another one."""
    return int(entry("dataset", dataset).get("docs") or 0) if dataset in choices("dataset") else 0


def tokens_per_document(dataset: str, most: int | None = None) -> float:
    """The tokens of a document, mean, of at most `most` (None: what conf/effort.yaml has)."""
    known = rates()
    return float(min(most or known["most_tokens"], known["characters"][dataset] / known["characters_per_token"]))
