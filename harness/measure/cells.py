"""Cells: what is to be measured, a method under a centering on a testbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.config.entries import entry
from harness.config.measures import Measure
from harness.config.options import CenterOptions, MethodOptions
from harness.config.seeds import Seeds
from harness.evaluation.ndcg import CUT
from harness.measure.artifacts import CellFiles
from harness.measure.query_mean import QueryMean
from harness.methods import registry
from harness.records import CellKey

Options = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A method and a centering to measure; not `asked` for: the reference, which is measured along."""

    method: MethodOptions
    center: CenterOptions
    asked: bool

    @classmethod
    def of(cls, method: Options, center: Options, asked: bool, index: Options | None = None) -> Request:
        """A request, without a centering where it changes nothing for the method."""
        seen = center if registry.is_centered(method["name"]) else entry("center", "none")
        return cls(MethodOptions.of(method, index), CenterOptions.of(seen), asked)

    def key(self, dataset: str, model: str) -> CellKey:
        """The key of its cell on a testbed."""
        return CellKey(dataset, model, self.center.variant, self.method.variant)


@dataclass(frozen=True)
class Cell:
    """What is to be measured, and where its artifacts are.

    Attributes
    ----------
    mean : the queries whose mean the centering subtracts, if it does
    identity : what a score depends on
    depths : rerank depths to measure, ascending; none if the record has all that are asked for
    measures : what is measured beside NDCG@10
    request : what it came from
    overwrite : whether nothing that was computed before counts
    files : its artifacts
    draws : one cell for each draw of its method's random numbers, each with artifacts of its own; empty if its only
        draw is that of its method's own seed
    """

    key: CellKey
    method: MethodOptions
    center: CenterOptions
    mean: QueryMean | None
    identity: Options
    depths: list[int]
    measures: tuple[Measure, ...]
    request: Request
    overwrite: bool
    files: CellFiles
    draws: tuple[Cell, ...] = ()

    @property
    def each_draw(self) -> tuple[Cell, ...]:
        """Its draws, or the cell itself."""
        return self.draws or (self,)

    @property
    def seeds(self) -> Seeds:
        """The seed of each draw."""
        return tuple(cell.method.given.get("seed") for cell in self.each_draw)

    @property
    def title(self) -> str:
        """Its key, for messages."""
        return self.key.title

    @property
    def end_to_end(self) -> bool:
        """Whether its method ranks with MaxSim itself (`harness.methods.method`)."""
        return registry.end_to_end(self.method.name)

    @property
    def exhaustive(self) -> bool:
        """Whether its search is the MaxSim pass itself (`harness.methods.method`)."""
        return registry.traits(self.method.name).exhaustive

    @property
    def needs_tokens(self) -> bool:
        """Whether it needs the token vectors of its testbed."""
        return registry.needs_tokens(self.method.name, self.depths[-1])

    @property
    def needs_exact(self) -> bool:
        """Whether it is compared with exact search, which must be done before."""
        return any(measure.needs_exact for measure in self.measures)

    @property
    def k(self) -> int:
        """How many candidates it needs."""
        return max(self.depths[-1], CUT)


def draws_of(cells: Sequence[Cell]) -> list[Cell]:
    """The draws of some cells, each as a cell of its own."""
    return [draw for cell in cells for draw in cell.each_draw]
