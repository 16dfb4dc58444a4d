"""Estimates of the time that cells will take, from the phases of measured cells.

An estimate uses records of the same model and method (for encoding: of the same model) that were measured on a host
with this CPU, number of cores and GPU. The time of a phase is scaled by the size that it is proportional to:

    encode_documents, <method>_encode_documents, center    document tokens (of methods that read texts: documents)
    encode_queries, <method>_encode_queries, evaluate      queries
    <method>_search                                        queries x the same (sublinear methods: queries)
    rerank                                                 queries x greatest depth

If there are several records, the median counts. Cells of one (model, data set) share encoding, codes, searches and the
MaxSim pass: each of these counts once, with the longest time. All other phases, and codes and searches, count once for
each draw of a cell. Without a comparable record there is no estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.methods import registry
from harness.methods.method import TEXTS
from harness.records import CellKey, Record
from harness.vectors.centering import KINDS

ENCODING = ("encode_documents", "encode_queries")
_MAXSIM = ("maxsim",)
_OF_ALL = (*((phase,) for phase in ENCODING), _MAXSIM)
"""Keys of the phases that all cells, and all their draws, share."""


@dataclass(frozen=True)
class Size:
    """The sizes that the time of a phase is proportional to.

    Attributes
    ----------
    tokens : document tokens of the data set; None: unknown
    queries : number of queries; None: unknown
    depth : the greatest rerank depth
    documents : documents of the data set; None: unknown
    """

    tokens: int | None
    queries: int | None
    depth: int
    documents: int | None = None

    def of(self, phase: str) -> int | None:
        """The size that a phase is proportional to; None: unknown."""
        method = registry.traits(phase.removesuffix("_search").removesuffix("_encode_documents"))
        corpus = self.documents if method.reads == TEXTS else self.tokens
        if phase.endswith("encode_documents") or phase == "center":
            return corpus
        factor = {"rerank": self.depth}.get(phase, 1)
        if phase.endswith("_search") and not method.sublinear:
            factor = corpus or 0
        return self.queries * factor if self.queries and factor else None


def size_of(record: Record) -> Size:
    """The size of the cell of a record."""
    details, queries = record.details, len(record.per_query["queries"])
    return Size(details.get("document_tokens"), queries, record.candidates["asked"], details.get("documents"))


def of_host(records: Sequence[Record], host: dict[str, Any]) -> list[Record]:
    """The records that were measured on a host with the same CPU, cores and GPU."""
    keys = ("cpu", "cores", "gpu")
    return [record for record in records if all(record.host.get(key) == host.get(key) for key in keys)]


def seconds_left(draws: Mapping[CellKey, int], size: Size, encoded: bool, records: Sequence[Record]) -> float | None:
    """The seconds that the given cells of one (model, data set) will take; None if a phase cannot be estimated.

    Parameters
    ----------
    draws
        The cells, with the number of draws that each is measured with.
    encoded
        Whether the token vectors are in the cache.
    records
        The records that were measured on a host like this one (`of_host`).
    """
    longest: dict[tuple[str, ...], float] = {}
    for (_, model, center, method), count in draws.items():
        of_model = [record for record in records if record.model == model]
        same = [record for record in of_model if record.method == method]
        phases = {phase for record in same for phase in record.seconds} - {*ENCODING}
        if registry.traits(method).reads == TEXTS:
            phases.discard("center")  # nothing is centered, which takes no time
        if not phases:
            return None
        is_encoding = not encoded and registry.needs_tokens(method, size.depth)
        needed = [*sorted(phases), *(ENCODING if is_encoding else ())]
        for phase in needed:
            seconds = _scaled(phase, size, of_model if phase in ENCODING else same)
            if seconds is None:
                return None
            key = _shared(phase, center, method)
            longest[key] = max(longest.get(key, 0.0), seconds if key in _OF_ALL else count * seconds)
    return float(sum(longest.values()))


def _scaled(phase: str, size: Size, records: Sequence[Record]) -> float | None:
    """The median of the seconds of a phase, scaled to a size; None: unknown."""
    wanted = size.of(phase)
    rates = [
        record.seconds[phase] / measured
        for record in records
        if phase in record.seconds and (measured := size_of(record).of(phase))
    ]
    return median(rates) * wanted if rates and wanted else None


def _shared(phase: str, center: str, method: str) -> tuple[str, ...]:
    """The key of a phase: cells with equal keys share the phase, which then counts once."""
    if phase in ENCODING:
        return (phase,)
    if phase == "rerank" or (phase.endswith("_search") and registry.traits(method).exhaustive):
        return _MAXSIM
    if phase in ("center", "evaluate"):
        return phase, center, method
    kind = KINDS.get(registry.base_name(center))
    return (
        phase,
        method,
        str(kind and (kind.documents, kind.share)),
    )  # centerings that treat documents alike share codes and search
