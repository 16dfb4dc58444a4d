"""Batches and token vectors of texts while a model trains.

`HeadEncoding` serves the training of the head, `ModelEncoding` that of all weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from harness.models import heads
from harness.training.cached import CachedCollator
from harness.training.pairs import TrainingData
from harness.vectors.encode import Encoder, Texts
from harness.vectors.forward import vectors
from harness.vectors.store import StoreInMemory


class Encoding(Protocol):
    """Makes batches and token vectors of the texts of the training data.

    Attributes
    ----------
    collator : makes a batch of features from training examples
    """

    collator: Any

    def encode(self, model: Any, texts: Sequence[str], is_query: bool) -> list[np.ndarray]:
        """Unit token vectors [tokens, dim] of each text, from the model as it is now."""
        ...


class HeadEncoding:
    """Reads the vectors of the frozen backbone, which are encoded once and cached, and applies only the head."""

    def __init__(self, encoder: Encoder, data: TrainingData, query_length: int | None) -> None:
        sides = {True: data.queries, False: data.documents}  # is_query -> texts
        self._stores = {
            is_query: encoder.backbone(Texts(texts, "training", is_query, query_length))
            for is_query, texts in sides.items()
        }
        self._rows = {is_query: {text: row for row, text in enumerate(texts)} for is_query, texts in sides.items()}
        self.collator = CachedCollator((self._rows[True], self._stores[True]), (self._rows[False], self._stores[False]))

    def encode(self, model: Any, texts: Sequence[str], is_query: bool) -> list[np.ndarray]:
        """As `Encoding.encode`."""
        rows, store = self._rows[is_query], self._stores[is_query]
        return [heads.project(model, store[rows[text]]) for text in texts]


class ModelEncoding:
    """Tokenizes the texts with PyLate and encodes them with the whole model, each time."""

    def __init__(self, encoder: Encoder, model: Any) -> None:
        from pylate.utils import ColBERTCollator  # seconds to import, and needed for training only

        self._batch_tokens, self._dtype = encoder.limit, encoder.dtype
        self.collator = ColBERTCollator(model.tokenize)

    def encode(self, model: Any, texts: Sequence[str], is_query: bool) -> list[np.ndarray]:
        """As `Encoding.encode`."""
        return vectors(model, texts, is_query, self._batch_tokens, self._dtype)


def in_memory(rows: Sequence[np.ndarray]) -> StoreInMemory:
    """Token vectors [tokens, dim] of each text, as one store."""
    return StoreInMemory(np.concatenate(rows), np.array([len(row) for row in rows]))
