"""Measures: what the option ``metrics`` may name. NDCG@10 is measured always, the others where they are asked for.

ndcg@K      NDCG of the first K documents
recall@K    share of the relevant documents among the first K
mrr@K       1 / rank of the first relevant document among the first K
map         average precision of the first 1,000 documents
judged@K    share of the first K documents that have a judgement, of any value; the others are holes
maxsim@K    share of exact search's first K documents among the candidates (option ``agreement``: maxsim@10, maxsim@100)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TITLES = {
    "ndcg": "NDCG@{cut}",
    "recall": "recall@{cut}",
    "mrr": "MRR@{cut}",
    "map": "MAP",
    "judged": "judged@{cut}",
    "maxsim": "recall of exact MaxSim's first {cut}",
}
_NAME = re.compile(r"(?:(ndcg|recall|mrr|judged|maxsim)@([1-9][0-9]{0,3})|(map))")
_MAP_CUT = 1000  # the length of trec_eval's customary runs
EXPECTED = "ndcg@K, recall@K, mrr@K, map, judged@K, maxsim@K with K below 10,000, each once, as in [ndcg@10,map]"


@dataclass(frozen=True)
class Measure:
    """A measure of a query's ranking, from 0 to 1.

    Attributes
    ----------
    kind : ``ndcg``, ``recall``, ``mrr``, ``map``, ``judged`` or ``maxsim``
    cut : how many documents it looks at; of ``maxsim``, how many of exact search's
    """

    kind: str
    cut: int

    @classmethod
    def of(cls, name: str) -> Measure:
        """The measure with a name.

        Raises
        ------
        ValueError
            If no measure has it.
        """
        found = _NAME.fullmatch(name)
        if not found:
            raise ValueError(f"the measure {ascii(name)[:40]}, expected {EXPECTED}")
        return cls("map", _MAP_CUT) if found[3] else cls(found[1], int(found[2]))

    @property
    def name(self) -> str:
        """As in ``metrics`` and in records."""
        return "map" if self.kind == "map" else f"{self.kind}@{self.cut}"

    @property
    def title(self) -> str:
        """As in captions."""
        return _TITLES[self.kind].format(cut=self.cut)

    @property
    def needs_exact(self) -> bool:
        """Whether it compares a ranking with that of exact search."""
        return self.kind == "maxsim"


NDCG10, JUDGED10 = Measure("ndcg", 10), Measure("judged", 10)
AGREEMENT = (Measure("maxsim", 10), Measure("maxsim", 100))
"""What ``agreement=true`` measures and shows."""


def is_name(name: Any) -> bool:
    """Whether a measure has this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def further(options: Mapping[str, Any]) -> tuple[Measure, ...]:
    """The measures beside NDCG@10 that the options of a run ask for, each once."""
    asked = [Measure.of(name) for name in options["metrics"]]
    together = dict.fromkeys([*asked, *(AGREEMENT if options["agreement"] else ())])
    return tuple(measure for measure in together if measure != NDCG10)
