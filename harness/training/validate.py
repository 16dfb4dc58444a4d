"""The held-out split while a model trains: NDCG@10 of exact MaxSim, and of each first stage by itself (rk=0).

Every number is of the centerings that training does not fix: ``none``, ``corpus`` and ``own`` (mu_Q from training
queries). Projection seeds are those of conf/method, not the ones that are trained through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.config.entries import entry
from harness.data.dataset import Dataset
from harness.evaluation.ndcg import CUT, Evaluator
from harness.geometry.moments import Moments
from harness.methods.exact import Exact
from harness.methods.method import Method
from harness.methods.muvera import Muvera
from harness.methods.smve import Smve
from harness.ranking.resources import Resources
from harness.vectors import centering
from harness.vectors.store import TokenVectors

SMVE = {"width": 4096, "keep": 16}  # a sixteenth of the default's cost
Stores = tuple[TokenVectors, TokenVectors, TokenVectors]
"""Token vectors of the validation's documents and queries, and of queries for mu_Q."""


class Validation:
    """Measures a model on the held-out split.

    Parameters
    ----------
    stores
        Gives the token vectors as the model makes them now.
    """

    def __init__(self, data: Dataset, stores: Callable[[Any], Stores], resources: Resources) -> None:
        self.stores, self.resources, self.evaluator = stores, resources, Evaluator(data)
        muvera, smve = ({k: v for k, v in entry("method", name).items() if k != "name"} for name in ("muvera", "smve"))
        self.methods: dict[str, Method] = {"muvera": Muvera(**muvera), "smve": Smve(**{**smve, **SMVE})}

    def measure(self, model: Any) -> dict[str, float]:
        """``exact``, ``muvera_none``, ... -> NDCG@10; ``cosine`` -> mean pairwise cosine of document tokens."""
        documents, queries, others = self.stores(model)
        mean = centering.token_mean(documents)
        found = {"exact": self._ndcg(Exact(), documents, queries)}
        for kind in centering.KINDS:
            shift = centering.fit(kind, mean, others, renormalize=False)
            sides = shift.apply_documents(documents), shift.apply_queries(queries)
            found |= {f"{name}_{kind}": self._ndcg(method, *sides) for name, method in self.methods.items()}
        return {**found, "cosine": Moments.of(documents).mean_pairwise_cosine}

    def _ndcg(self, method: Method, documents: TokenVectors, queries: TokenVectors) -> float:
        rows = method.search(documents, queries, CUT, self.resources).ranking.rows
        return float(np.mean(self.evaluator.ndcg10(rows)))
