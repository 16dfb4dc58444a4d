"""The training pairs as the data sets of the sentence-transformers trainer, one for each source."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from harness.system.errors import HarnessError
from harness.training.pairs import TrainingData, Triple

log = logging.getLogger(__name__)


def filling_batches(data: TrainingData, size: int) -> dict[str, list[Triple]]:
    """The sources with at least `size` pairs: all pairs of a batch come from one source.

    Raises
    ------
    HarnessError
        If there is none.
    """
    small = [source for source, triples in data.triples.items() if len(triples) < size]
    if small:
        log.info("left out, because they have fewer than the %d pairs of a batch: %s", size, ", ".join(small))
    if len(small) == len(data.triples):
        raise HarnessError(f"no source has the {size} training pairs of a batch: set train.batch_size to fewer.")
    return {source: triples for source, triples in data.triples.items() if source not in small}


def datasets_of(sources: dict[str, list[Triple]], seed: int) -> dict[str, Any]:
    """The training pairs, shuffled with our seed, because the trainer draws batches with a fixed one.

    The columns of further negatives are ``negative2`` and so on: the trainer would take ``negative_2`` for a part of
    ``negative``.
    """
    from datasets import Dataset

    shuffled = {}
    for source, triples in sources.items():
        order = np.random.default_rng(seed).permutation(len(triples))
        columns = zip(*(triples[i] for i in order), strict=True)
        names = ["query", "positive", "negative", *(f"negative{n}" for n in range(2, len(triples[0]) - 1))]
        shuffled[source] = Dataset.from_dict(dict(zip(names, map(list, columns), strict=True)))
    return shuffled
