"""Batches and token vectors of texts while a model trains.

`HeadEncoding` serves the training of the head, `LayersEncoding` that of the last layers, `ModelEncoding` that of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from harness.models import heads
from harness.training.cached import CachedCollator, CachedTexts, LayersCollator
from harness.training.pairs import TrainingData
from harness.training.queries import by_length, with_length
from harness.vectors.encode import Encoder
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
        self._sides = _sides(encoder, data, query_length)
        self.collator = CachedCollator(self._sides[True], self._sides[False])

    def encode(self, model: Any, texts: Sequence[str], is_query: bool) -> list[np.ndarray]:
        """As `Encoding.encode`."""
        return [heads.project(model, self._sides[is_query][text]) for text in texts]


class LayersEncoding:
    """Reads the output of the frozen layers, which is encoded once and cached, and applies the layers above them."""

    def __init__(self, encoder: Encoder, model: Any, data: TrainingData, query_length: int | None, layers: int) -> None:
        self._sides = _sides(encoder, data, query_length, layers)
        self._lengths, self._layers = data.query_lengths, layers
        self._batch_tokens, self._dtype = encoder.limit, encoder.dtype
        self.collator = LayersCollator(model, self._sides[True], self._sides[False], self._lengths)

    def encode(self, model: Any, texts: Sequence[str], is_query: bool) -> list[np.ndarray]:
        """As `Encoding.encode`."""

        def encode_some(some: list[str]) -> list[np.ndarray]:
            given = [self._sides[is_query][text] for text in some]
            return vectors(model, some, is_query, self._batch_tokens, self._dtype, cut=self._layers, given=given)

        return _by_length(model, texts, self._lengths if is_query else {}, encode_some)


class ModelEncoding:
    """Tokenizes the texts with PyLate and encodes them with the whole model, each time."""

    def __init__(self, encoder: Encoder, model: Any, lengths: Mapping[str, int]) -> None:
        from pylate.utils import ColBERTCollator  # seconds to import, and needed for training only

        self._batch_tokens, self._dtype, self._lengths = encoder.limit, encoder.dtype, lengths

        def tokenize(texts: list[str], **options: Any) -> Any:
            with with_length(model, lengths.get(texts[0])):  # a batch's queries come from one source
                return model.tokenize(texts, **options)

        self.collator = ColBERTCollator(tokenize)

    def encode(self, model: Any, texts: Sequence[str], is_query: bool) -> list[np.ndarray]:
        """As `Encoding.encode`."""

        def encode_some(some: list[str]) -> list[np.ndarray]:
            return vectors(model, some, is_query, self._batch_tokens, self._dtype)

        return _by_length(model, texts, self._lengths if is_query else {}, encode_some)


def in_memory(rows: Sequence[np.ndarray]) -> StoreInMemory:
    """Token vectors [tokens, dim] of each text, as one store."""
    return StoreInMemory(np.concatenate(rows), np.array([len(row) for row in rows]))


def _sides(encoder: Encoder, data: TrainingData, query_length: int | None, cut: int = 0) -> dict[bool, CachedTexts]:
    """Whether a side is that of the queries -> its texts' vectors below the cut."""
    return {
        is_query: CachedTexts(encoder, data.texts(is_query), is_query, query_length, lengths, cut)
        for is_query, lengths in ((True, data.query_lengths), (False, {}))
    }


def _by_length(
    model: Any, texts: Sequence[str], lengths: Mapping[str, int], encode: Callable[[list[str]], list[np.ndarray]]
) -> list[np.ndarray]:
    """The token vectors of each text, encoded with the texts of its length."""
    found: list[np.ndarray] = [np.empty(0)] * len(texts)
    for length, numbers in by_length(texts, lengths).items():
        with with_length(model, length):
            rows = encode([texts[number] for number in numbers])
        for number, row in zip(numbers, rows, strict=True):
            found[number] = row
    return found
