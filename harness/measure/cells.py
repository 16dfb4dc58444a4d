"""Cell: what is to be measured, a method under a centering on a testbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.config.entries import entry
from harness.config.names import variant
from harness.evaluation.ndcg import CUT
from harness.measure.artifacts import Files
from harness.measure.query_mean import QueryMean
from harness.methods import registry

Options = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """Options of a method and of a centering; not `asked` for: the reference, measured along."""

    method: Options
    center: Options
    asked: bool


@dataclass(frozen=True)
class Cell:
    """What is to be measured: a method under a centering, on a testbed.

    Attributes
    ----------
    names : data set, model, center, method
    depths : to measure; none if the record has all that are asked for
    request : what it came from
    anew : whether nothing that was computed before counts (``overwrite=true``)
    files : where its steps are kept
    """

    names: tuple[str, str, str, str]
    method: Options
    center: Options
    mean: QueryMean | None
    identity: Options
    depths: list[int]
    request: Request
    anew: bool
    files: Files

    @property
    def whole(self) -> bool:
        """See `harness.records.is_whole`."""
        return registry.end_to_end(self.method["name"])

    @property
    def k(self) -> int:
        """Candidates that are needed."""
        return max(self.depths[-1], CUT)


def names_of(dataset: str, model: str, request: Request) -> tuple[str, str, str, str]:
    """A cell's data set, model, center and method, under which its record is."""
    return dataset, model, variant("center", centering_of(request)), variant("method", request.method)


def centering_of(request: Request) -> Options:
    """What centers a request's cell: nothing, where the method sees the model's own vectors."""
    return entry("center", "none") if registry.end_to_end(request.method["name"]) else request.center
