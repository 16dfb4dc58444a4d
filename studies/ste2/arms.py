"""What the study trains: capacities, domains, objectives and runs, and the recipes among which it chooses (plan.md)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import MODEL  # beside this file

from harness.config import compose, entries

RESULTS = Path(__file__).resolve().parents[2] / "results" / "ste2"
CHOSEN = RESULTS / "chosen.json"
CAPACITIES = ("head", "adapter", "layers:1", "layers:4")
DOMAINS = {"out": ("nq-open-gold", "scifact"), "in": ()}
"""Domain -> the sources that training leaves out. ``in``: pairs of two of the evaluated collections are trained on."""
OBJECTIVES = {"ste_muvera": "muvera", "ste_smve": "smve"}
"""Objective -> the method that it is trained for."""
CONTROL = "contrastive"
RUNS = (0, 1, 2)
"""A run has its own order of the batches and, for an objective with codes, its own training projection."""
STEPS = 400
QUERY_LENGTHS = {"scifact": 48}
"""Source -> tokens per query, as in the evaluation of the data set of this name."""
LEFT_OUT = ("climate-fever-evidence", "pubmedqa-labeled")
"""Sources that no run of the choice is trained on, and that choose the recipe."""
RATES = (1e-5, 5e-5, 2e-4)
WEIGHTS = {
    "ste_muvera": ("alpha=0.8 objective.temperature=0.01", "alpha=0.95 objective.temperature=0.005"),
    "ste_smve": ("alpha=0.5 objective.temperature=0.03", "alpha=0.8 objective.temperature=0.01"),
}
CHOOSES_FOR = {"layers:4": "layers:1"}
"""Capacities that take the recipe of another one: their choice would cost more than their runs."""


@dataclass(frozen=True)
class Arm:
    """One trained model.

    Attributes
    ----------
    objective : its loss; ``contrastive`` for a control
    judge : the objective whose learning rate it has; an arm's own, or the one that a control is the control of
    run : number of the training run
    """

    capacity: str
    domain: str
    objective: str
    judge: str
    run: int

    @property
    def name(self) -> str:
        """The name of its folder, which records have, too."""
        control = f"-of-{self.judge}" if self.objective == CONTROL else ""
        return f"{self.capacity.replace(':', '')}-{self.domain}-{self.objective}{control}-{self.run}"

    @property
    def meets_plaid(self) -> bool:
        """Whether PLAID is measured on it: its indexes take as long as all other cells together."""
        return self.domain == "out" and self.judge == "ste_muvera"

    @property
    def control(self) -> Arm:
        """The same training without codes: as many steps, at the same learning rate, in the same order."""
        return Arm(self.capacity, self.domain, CONTROL, self.judge, self.run)


def arms(capacities: Sequence[str] = CAPACITIES) -> list[Arm]:
    """All arms, in the order in which they are trained: run 0 of everything comes first."""
    found = []
    for run, capacity, domain, judge in itertools.product(RUNS, capacities, DOMAINS, OBJECTIVES):
        trained = Arm(capacity, domain, judge, judge, run)
        found += [trained, trained.control]
    return found


def training(capacity: str, objective: str, recipe: str, run: int, left_out: Sequence[str]) -> list[str]:
    """The words of `train`, without its folder."""
    sources = entries.entry("train_data", "offline")["sources"]
    lengths = {name: length for name, length in QUERY_LENGTHS.items() if name not in left_out}
    projection = [] if objective == CONTROL else [f"objective.codes.seed={1000 + run}", "objective.query_tokens=real"]
    unknown = set(left_out) - sources.keys()
    assert not unknown, unknown
    return [
        *MODEL,
        "experiment=ste",
        f"objective={objective}",
        f"train.trainable={capacity}",
        f"train.seed={run}",
        f"train.max_steps={STEPS}",
        "train.epochs=2",  # more than the steps need: the smaller domain has fewer pairs
        *(f"~train_data.sources.{name}" for name in left_out),
        *(f"+train_data.sources.{name}.query_length={length}" for name, length in lengths.items()),
        *projection,
        *recipe.split(),
    ]


def candidates(objective: str) -> list[str]:
    """The recipes to choose from, as words of `train`."""
    return [f"train.learning_rate={rate} {weight}" for rate in RATES for weight in WEIGHTS[objective]]


def chosen() -> dict[str, dict[str, str]]:
    """Capacity -> objective -> its recipe, as `choose` wrote them."""
    found: dict[str, dict[str, str]] = json.loads(CHOSEN.read_text()) if CHOSEN.exists() else {}
    return found


def recipe_of(arm: Arm) -> str:
    """The recipe of an arm: that of its capacity and objective; a control has its learning rate alone."""
    source = CHOOSES_FOR.get(arm.capacity, arm.capacity)
    recipe = chosen().get(source, {}).get(arm.judge)
    if recipe is None:
        raise SystemExit(f"no recipe was chosen for {source}, {arm.judge}: run `study.py choose {source}` first.")
    return recipe.split()[0] if arm.objective == CONTROL else recipe


def runs() -> Path:
    """Where trained models are."""
    options: Any = compose.composed(MODEL)
    return Path(options.cache_dir).expanduser() / "ste2"


def head(name: str) -> Path:
    """The file of a trained model, or of the untrained one's own head."""
    return runs() / name / "head.safetensors"
