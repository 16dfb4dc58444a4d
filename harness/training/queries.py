"""Queries in training as in the evaluation: as many tokens as their data set's, and what the codes see of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from harness.vectors.query_tokens import places

MASK = "codes_mask"
"""The key, among the features of queries, of the mask of the tokens that the codes see."""


@contextmanager
def with_length(model: Any, length: int | None) -> Iterator[None]:
    """PyLate's model with another number of tokens per query; None: its own."""
    own = model.query_length
    model.query_length = length or own
    try:
        yield
    finally:
        model.query_length = own


def by_length(texts: Sequence[str], lengths: Mapping[str, int]) -> dict[int | None, list[int]]:
    """Tokens per query -> the numbers of the texts that have so many; None: the model's own."""
    found: dict[int | None, list[int]] = {}
    for number, text in enumerate(texts):
        found.setdefault(lengths.get(text), []).append(number)
    return found


class CodesMask:
    """Adds to the batches of a collator which tokens of each query the codes see.

    Parameters
    ----------
    collator
        Makes the batches; the queries of a batch have one length, as they come from one source.
    part
        ``real`` or ``words`` (`harness.vectors.query_tokens`).
    lengths
        Query -> its number of tokens, if that is not the model's.
    """

    def __init__(self, collator: Any, model: Any, part: str, lengths: Mapping[str, int]) -> None:
        self._collator, self._model, self._part, self._lengths = collator, model, part, lengths
        self.valid_label_columns = collator.valid_label_columns

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of the examples in `features`."""
        batch: dict[str, Any] = self._collator(features)
        texts = [example["query"] for example in features]
        with with_length(self._model, self._lengths.get(texts[0])):
            batch[f"query_{MASK}"] = torch.from_numpy(places(self._model, texts, self._part))
        return batch
