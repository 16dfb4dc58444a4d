"""Batches of the frozen backbone's vectors, read from the cache, so that training a head takes minutes on a CPU.

`CachedCollator` replaces PyLate's `ColBERTCollator`. For each column of texts (``query``, ``positive``, ...) it makes
the features that `harness.training.loss` expects:

    <column>_token_embeddings   float32 [texts, length, hidden]: kept tokens only, padded with zeros
    <column>_attention_mask     int64 [texts, length]: 1 for tokens, 0 for padding
    <column>_input_ids          int64 [texts, 1]: the text's row; sentence-transformers finds columns by this name
"""

from __future__ import annotations

from typing import Any

import torch

from harness.vectors.store import TokenVectors


class CachedCollator:
    """Makes batches: for each column of texts, the backbone's vectors of their tokens.

    Parameters
    ----------
    queries, documents
        The row of each text, and the token vectors with these rows.
    """

    def __init__(
        self, queries: tuple[dict[str, int], TokenVectors], documents: tuple[dict[str, int], TokenVectors]
    ) -> None:
        self.queries, self.documents = queries, documents
        self.valid_label_columns: list[str] = []

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of the examples in `features`."""
        batch: dict[str, Any] = {"return_loss": True}
        for column in features[0]:
            if column == "dataset_name":
                batch[column] = features[0][column]
                continue
            rows, store = self.queries if column == "query" else self.documents
            numbers = [rows[example[column]] for example in features]
            texts = [torch.from_numpy(store[number]) for number in numbers]
            lengths = torch.tensor([len(text) for text in texts])
            padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
            batch[f"{column}_input_ids"] = torch.tensor(numbers)[:, None]
            batch[f"{column}_token_embeddings"] = padded
            batch[f"{column}_attention_mask"] = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
        return batch
