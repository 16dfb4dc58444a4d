"""Validation while a model trains: NDCG@10 on the held-out split, by exact MaxSim and by each first stage alone (rk=0).

First stages are measured under every centering, whichever the training uses; mu_Q is the mean of training queries. The
random seeds of the projections are those of conf/method, not those of the projections that gradients pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.config.entries import entry
from harness.data.dataset import Dataset
from harness.evaluation.ndcg import CUT, Evaluator
from harness.geometry.moments import Moments
from harness.methods import registry
from harness.methods.exact import Exact
from harness.methods.method import Method
from harness.ranking.resources import Resources
from harness.system.files import digest
from harness.training.pairs import TrainingData
from harness.vectors import centering
from harness.vectors.store import TokenVectors

SMVE = {"width": 4096, "keep": 16}  # a sixteenth of the default's anchors, as validation must be quick
Stores = tuple[TokenVectors, TokenVectors, TokenVectors]
"""Token vectors of the documents, of the queries, and of the queries for mu_Q."""
_MEAN_QUERIES = 500


class Validation:
    """Measures a model on the held-out split.

    Parameters
    ----------
    data
        The held-out split.
    stores
        Encodes the split with a model as it is now.
    """

    def __init__(self, data: Dataset, stores: Callable[[Any], Stores], resources: Resources) -> None:
        self.stores, self.resources, self.evaluator = stores, resources, Evaluator(data)
        muvera, smve = entry("method", "muvera"), {**entry("method", "smve"), **SMVE}
        self.methods: dict[str, Method] = {"muvera": registry.make(muvera), "smve": registry.make(smve)}

    def measure(self, model: Any) -> dict[str, float]:
        """Name -> value of each measure.

        ``exact``, ``muvera_none``, ``smve_own`` and so on are NDCG@10 from 0 to 1; ``cosine`` is the mean pairwise
        cosine of document tokens.
        """
        documents, queries, others = self.stores(model)
        mean = centering.token_mean(documents)
        found = {"exact": self._ndcg(Exact(), documents, queries)}
        for kind in centering.constant_kinds():
            shift = centering.fit(kind, mean, others, renormalize=False)
            sides = shift.apply_documents(documents), shift.apply_queries(queries)
            found |= {f"{name}_{kind}": self._ndcg(method, *sides) for name, method in self.methods.items()}
        return {**found, "cosine": Moments.of(documents).mean_pairwise_cosine}

    def _ndcg(self, method: Method, documents: TokenVectors, queries: TokenVectors) -> float:
        rows = method.search(documents, queries, CUT, self.resources).ranking.rows
        return float(np.mean(self.evaluator.ndcg10(rows)))


def mean_queries(data: TrainingData) -> list[str]:
    """The training queries whose mean token vector is mu_Q in the validation: at most 500, chosen by hash."""
    trained = {query for triples in data.triples.values() for query, *_ in triples}
    return sorted(trained, key=digest)[:_MEAN_QUERIES]
