"""Batches of vectors that frozen layers gave, read from the cache, so that training the rest takes minutes on a CPU.

A collator replaces PyLate's `ColBERTCollator`. For each column of texts (``query``, ``positive``, ...) it makes the
features that `harness.training.loss` expects. `CachedCollator`, for a head on a frozen backbone:

    <column>_token_embeddings   float32 [texts, length, hidden]: kept tokens only, padded with zeros
    <column>_attention_mask     int64 [texts, length]: 1 for tokens, 0 for padding
    <column>_input_ids          int64 [texts, 1]: the text's row; sentence-transformers finds columns by this name

`LayersCollator`, for the last layers on frozen ones: what PyLate's tokenizer gives, and

    <column>_hidden_states      float32 [texts, length, hidden]: the output of the layer below, zeros at padding
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from harness.models.layers import HIDDEN, placed
from harness.training.queries import by_length, with_length
from harness.vectors.encode import Encoder
from harness.vectors.forward import looked_at, prompted
from harness.vectors.store import TokenStore
from harness.vectors.texts import Texts


class CachedTexts:
    """The vectors of texts below a cut of the model (`Encoder.backbone`), encoded once.

    Parameters
    ----------
    groups
        The texts, in groups; each group has a store of its own in the cache.
    query_length
        Tokens per query; None: the checkpoint's own.
    lengths
        Query -> its number of tokens, where that is another one.
    """

    def __init__(
        self,
        encoder: Encoder,
        groups: Iterable[Sequence[str]],
        is_query: bool,
        query_length: int | None,
        lengths: Mapping[str, int],
        cut: int = 0,
    ) -> None:
        self._rows: dict[str, tuple[TokenStore, int]] = {}
        for texts in groups:
            for length, numbers in by_length(texts, lengths).items():
                some = {texts[number]: texts[number] for number in numbers}
                store = encoder.backbone(Texts(some, "training", is_query, length or query_length), cut)
                self._rows |= {text: (store, row) for row, text in enumerate(some)}
        self.numbers = {text: number for number, text in enumerate(self._rows)}

    def __getitem__(self, text: str) -> np.ndarray:
        """float32 [tokens, hidden]: the vectors of one text."""
        store, row = self._rows[text]
        return store[row]


class CachedCollator:
    """Makes batches: for each column of texts, the backbone's vectors of their tokens."""

    def __init__(self, queries: CachedTexts, documents: CachedTexts) -> None:
        self.queries, self.documents = queries, documents
        self.valid_label_columns: list[str] = []

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of the examples in `features`."""
        batch: dict[str, Any] = _begun(features)
        for column, names in _columns(features):
            cached = self.queries if column == "query" else self.documents
            texts = [torch.from_numpy(cached[name]) for name in names]
            lengths = torch.tensor([len(text) for text in texts])
            padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
            batch[f"{column}_input_ids"] = torch.tensor([cached.numbers[name] for name in names])[:, None]
            batch[f"{column}_token_embeddings"] = padded
            batch[f"{column}_attention_mask"] = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
        return batch


class LayersCollator:
    """Makes batches: for each column of texts, its tokens and the output of the layer below for them.

    Parameters
    ----------
    model
        PyLate's ColBERT, which tokenizes.
    lengths
        Query -> its number of tokens, if that is not the model's.
    """

    def __init__(self, model: Any, queries: CachedTexts, documents: CachedTexts, lengths: Mapping[str, int]) -> None:
        self.model, self.queries, self.documents, self.lengths = model, queries, documents, lengths
        self.valid_label_columns: list[str] = []

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of the examples in `features`; its queries have one length, as they come from one source."""
        batch: dict[str, Any] = _begun(features)
        for column, names in _columns(features):
            is_query = column == "query"
            cached = self.queries if is_query else self.documents
            with with_length(self.model, self.lengths.get(names[0]) if is_query else None):
                tokens = self.model.tokenize(prompted(self.model, names), is_query=is_query)
            rows = [torch.from_numpy(cached[name]) for name in names]
            tokens[HIDDEN] = placed(rows, looked_at(self.model, tokens, is_query))
            batch |= {f"{column}_{key}": value for key, value in tokens.items()}
        return batch


def _begun(features: list[dict[str, Any]]) -> dict[str, Any]:
    """What a batch has beside its texts."""
    source = {"dataset_name": features[0]["dataset_name"]} if "dataset_name" in features[0] else {}
    return {"return_loss": True, **source}


def _columns(features: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Each column of texts, with its texts."""
    for column in features[0]:
        if column != "dataset_name":
            yield column, [example[column] for example in features]
