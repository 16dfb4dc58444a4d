"""What the study trains: capacities, domains, objectives and runs, and the rates among which it chooses (plan.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import MODEL  # beside this file

from harness.config import compose, entries

RESULTS = Path(__file__).resolve().parents[2] / "results" / "ste2"
CHOSEN, CHOICE = RESULTS / "chosen.json", RESULTS / "choice.csv"
DOMAINS = {"out": ("nq-open-gold", "scifact"), "in": ()}
"""Domain -> the sources that training leaves out. ``in``: pairs of two of the evaluated collections are trained on."""
CONTROL = "contrastive"
TOP = "layers:12"
"""The whole transformer of this model but its embeddings, and the head: the capacity nearest to the card's."""
TRAINED = {
    (TOP, "out"): ("ste_muvera", CONTROL, "ste_smve"),
    (TOP, "in"): ("ste_muvera", CONTROL),
    ("head", "out"): ("ste_muvera", CONTROL),
    ("adapter", "out"): ("ste_muvera", CONTROL),
    ("layers:1", "out"): ("ste_muvera", CONTROL),
    ("layers:4", "out"): ("ste_muvera", CONTROL),
}
"""Capacity and domain -> its objectives."""
CAPACITIES = tuple(dict.fromkeys(capacity for capacity, _ in TRAINED))
RUNS = (0, 1, 2)
"""A run has its own order of the batches and, for an objective with codes, its own training projection."""
STEPS = 160
QUERY_LENGTHS = {"scifact": 48}
"""Source -> tokens per query, as in the evaluation of the data set of this name."""
LEFT_OUT = ("climate-fever-evidence", "pubmedqa-labeled")
"""Sources that no run of the choice is trained on, and that choose the learning rates."""
CHOOSES = "ste_muvera"
"""The objective that is trained for the choice; a capacity has one learning rate for all objectives."""
RATES = (1e-5, 5e-5, 2e-4)


@dataclass(frozen=True)
class Arm:
    """One trained model.

    Attributes
    ----------
    objective : its loss; ``contrastive`` for a control
    run : number of the training run
    """

    capacity: str
    domain: str
    objective: str
    run: int

    @property
    def name(self) -> str:
        """The name of its folder, which records have, too."""
        return f"{self.capacity.replace(':', '')}-{self.domain}-{self.objective}-{self.run}"

    @property
    def control(self) -> Arm:
        """The same training without codes: as many steps, at the same learning rate, in the same order."""
        return Arm(self.capacity, self.domain, CONTROL, self.run)


def arms(capacities: Sequence[str] = CAPACITIES) -> list[Arm]:
    """All arms, in the order in which they are trained: run 0 of everything comes first."""
    return [
        Arm(capacity, domain, objective, run)
        for run in RUNS
        for (capacity, domain), objectives in TRAINED.items()
        for objective in objectives
        if capacity in capacities
    ]


def training(arm: Arm, rate: float, left_out: Sequence[str]) -> list[str]:
    """The words of `train`, without its folder."""
    unknown = set(left_out) - entries.entry("train_data", "offline")["sources"].keys()
    assert not unknown, unknown
    lengths = {name: length for name, length in QUERY_LENGTHS.items() if name not in left_out}
    projection = [f"objective.codes.seed={1000 + arm.run}", "objective.query_tokens=real"]
    return [
        "experiment=ste",
        *MODEL,
        "model.dtype=bfloat16",
        f"objective={arm.objective}",
        *(projection if arm.objective != CONTROL else []),
        f"train.trainable={arm.capacity}",
        "train.dropout=false",
        f"train.learning_rate={rate}",
        f"train.seed={arm.run}",
        f"train.max_steps={STEPS}",
        "train_data.validation_queries=50",  # for the log alone; it chooses nothing
        "train_data.validation_documents=300",
        *(f"~train_data.sources.{name}" for name in left_out),
        *(f"+train_data.sources.{name}.query_length={length}" for name, length in lengths.items()),
    ]


def chosen() -> dict[str, float]:
    """Capacity -> its learning rate, as `choose` wrote them."""
    found: dict[str, float] = json.loads(CHOSEN.read_text()) if CHOSEN.exists() else {}
    return found


def rate_of(arm: Arm) -> float:
    """The learning rate of an arm."""
    if arm.capacity not in (found := chosen()):
        raise SystemExit(f"no learning rate was chosen for {arm.capacity}: run `study.py choose {arm.capacity}` first.")
    return found[arm.capacity]


def runs() -> Path:
    """Where trained models are."""
    options: Any = compose.composed(MODEL)
    return Path(options.cache_dir).expanduser() / "ste2"


def head(name: str) -> Path:
    """The file that training writes."""
    return runs() / name / "head.safetensors"


def weights(name: str) -> Path:
    """The file of a trained model: of its training here, else the committed one, if there is one."""
    committed = RESULTS / "heads" / f"{name}.safetensors"
    return committed if committed.exists() and not head(name).exists() else head(name)
