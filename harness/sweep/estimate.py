"""How long cells that are not measured yet may take, from the phases of those that are.

Comparable are records of the same model and method (of the same model alone, for encoding) that were measured on a host
with this CPU, number of cores and GPU. A phase of theirs is scaled by what it goes through:

    encode_documents, <method>_encode_documents, center    document tokens
    encode_queries, <method>_encode_queries, evaluate      queries
    <method>_search                                        queries x document tokens (PLAID: queries)
    rerank                                                 queries x greatest depth

and of several records, the median counts. Cells of one (model, data set) share encoding, codes, searches and the MaxSim
pass: each counts once, as the longest. Where nothing is comparable there is no estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.methods.registry import end_to_end
from harness.records import Record
from harness.records.failures import Names

ENCODING = ("encode_documents", "encode_queries")


@dataclass(frozen=True)
class Size:
    """What phases go through; None: unknown."""

    tokens: int | None
    queries: int | None
    depth: int

    def of(self, phase: str) -> int | None:
        """The size that a phase is proportional to."""
        if phase.endswith("encode_documents") or phase == "center":
            return self.tokens
        factor = {"rerank": self.depth}.get(phase, 1)
        if phase.endswith("_search") and phase != "plaid_search":
            factor = self.tokens or 0
        return self.queries * factor if self.queries and factor else None


def size_of(record: Record) -> Size:
    """What a record's phases went through."""
    return Size(record.details["document_tokens"], len(record.per_query["queries"]), record.candidates["asked"])


def of_host(records: Sequence[Record], host: dict[str, Any]) -> list[Record]:
    """The records that were measured on a host like this one."""
    keys = ("cpu", "cores", "gpu")
    return [record for record in records if all(record.host.get(key) == host.get(key) for key in keys)]


def seconds_left(cells: Sequence[Names], size: Size, encoded: bool, records: Sequence[Record]) -> float | None:
    """Seconds for some cells of one (model, data set); None: unknown.

    Parameters
    ----------
    encoded
        Whether the token vectors are there.
    records
        What was measured on this host.
    """
    longest: dict[tuple[str, ...], float] = {}
    for _, model, center, method in cells:
        of_model = [record for record in records if record.model == model]
        same = [record for record in of_model if record.method == method]
        phases = {phase for record in same for phase in record.seconds} - {*ENCODING}
        if not phases:
            return None
        needed = [*sorted(phases), *(() if encoded else ENCODING)]
        for phase in needed:
            seconds = _scaled(phase, size, of_model if phase in ENCODING else same)
            if seconds is None:
                return None
            key = _shared(phase, center, method)
            longest[key] = max(longest.get(key, 0.0), seconds)
    return float(sum(longest.values()))


def _scaled(phase: str, size: Size, records: Sequence[Record]) -> float | None:
    """The seconds of a phase at a size."""
    wanted = size.of(phase)
    rates = [
        record.seconds[phase] / own
        for record in records
        if phase in record.seconds and (own := size_of(record).of(phase))
    ]
    return median(rates) * wanted if rates and wanted else None


def _shared(phase: str, center: str, method: str) -> tuple[str, ...]:
    """What counts once: cells with the same key have the phase in common."""
    if phase in ENCODING:
        return (phase,)
    if phase in ("rerank", "exact_search"):
        return ("maxsim",)
    if phase in ("center", "evaluate"):
        return phase, center, method
    return phase, method, str(center == "none" or end_to_end(method))
