"""A model as the source of a testbed's token vectors: its checkpoint, the encoder, and what is doubtful in both."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from harness.config.options import ModelOptions
from harness.config.shards import WHOLE, Shard
from harness.data.dataset import Dataset
from harness.models import untrained
from harness.models.checkpoint import weights_note
from harness.models.inspection import refuse_lengths
from harness.vectors.encode import Encoder
from harness.vectors.source import TokenSource
from harness.vectors.store import TokenStore, TokenVectors

_SAMPLE = 256  # documents whose tokens are looked up in the vocabulary


class ModelSource(TokenSource):
    """A model that encodes queries of one length.

    Raises
    ------
    HarnessError
        If it has no positions for the lengths of its options.
    """

    def __init__(self, model: ModelOptions, encoder: Encoder, query_length: int | None) -> None:
        self.model, self.encoder, self.checkpoint = model, encoder, encoder.checkpoint
        self.query_length = query_length
        self.remark = weights_note(model.given, self.checkpoint.backbone)
        refuse_lengths(self.checkpoint.inspection, model.given["document_length"], query_length)

    @property
    def inputs(self) -> dict[str, str]:
        """The hash of the weights and the other files of the checkpoint."""
        return {"weights": self.checkpoint.sha256}

    def encode(self, texts: Mapping[str, str], name: str, is_query: bool, shard: Shard = WHOLE) -> TokenStore:
        """Token vectors of texts, encoded unless the cache has them."""
        return self.encoder.encode(texts, name, is_query, self.query_length, shard)

    def part_of(self, store: TokenVectors, texts: Mapping[str, str], part: str) -> TokenVectors:
        """Token vectors of a part of each query, by the tokenizer."""
        return self.encoder.part_of(store, texts, self.query_length, part)

    def is_encoded(self, texts: Mapping[str, str], name: str) -> bool:
        """Whether all documents are encoded."""
        return self.encoder.is_encoded(texts, name, self.query_length)

    def help_encode(self, texts: Mapping[str, str], name: str) -> None:
        """Encode documents that no other process is encoding, until there are none left."""
        self.encoder.help_encode(texts, name, self.query_length)

    def warnings(self) -> list[str]:
        """What the checkpoint's folder lacks."""
        return untrained.of_folder(self.checkpoint.inspection, self.checkpoint.head is not None, self.model.seed or 0)

    def notes(self) -> list[str]:
        """What is random in the model; it loads the transformer once."""
        return untrained.notes(self.model.given, self.checkpoint)

    def notes_on(self, docs: TokenStore, queries: TokenStore, dataset: Dataset) -> list[str]:
        """A line if the model's vocabulary knows less than half of the first documents' tokens."""
        share = self.checkpoint.inspection.unknown_share(list(islice(dataset.docs.values(), _SAMPLE)))
        if share <= 0.5:
            return []
        return [f"{100 * share:.0f} % of the tokens of the first documents are unknown to the model's vocabulary"]
