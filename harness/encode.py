"""Texts to token vectors: PyLate encodes, chunk by chunk, into a TokenStore of the cache.

The store's folder is named by what changes its bytes: the weights' sha256, lengths, expansion, dtype, attention, the
side (documents or queries) and the texts. Batch size and device are not among them: they move a result by float
rounding only, and are kept in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import models
from harness.errors import HarnessError
from harness.files import digest
from harness.progress import bar
from harness.store import TokenStore
from harness.store_build import build_store


@dataclass
class Encoder:
    """One model, loaded when something must really be encoded.

    Attributes
    ----------
    model : the entry of conf/model, with overrides
    """

    model: dict[str, Any]
    checkpoint: models.Checkpoint
    cache: Path
    device: torch.device
    batch_size: int = 32
    show: bool = False
    _loaded: dict[int | None, Any] = field(default_factory=dict)

    def encode(self, texts: Mapping[str, str], name: str, is_query: bool, query_length: int | None) -> TokenStore:
        """Token vectors of `texts` (id -> text) in their order.

        Parameters
        ----------
        name
            Readable part of the folder's name.
        query_length
            Tokens of a query, None: the checkpoint's own.

        Raises
        ------
        HarnessError
            If a query has no token vectors, or the vectors are not of the configured dimension.
        """
        ids, contents = list(texts), list(texts.values())
        identity = self._identity(ids, contents, is_query, query_length)
        side = "queries" if is_query else "documents"
        path = self.cache / "tokens" / f"{self.model['name']}-{name}-{side}-{digest(identity)[:16]}"
        with bar(f"encode {name} {side}", len(ids), self.show) as progress:

            def rows(start: int, stop: int) -> list[np.ndarray]:
                progress.n = start
                vectors = self._pylate(query_length).encode(
                    contents[start:stop], is_query=is_query, batch_size=self.batch_size, show_progress_bar=False
                )
                progress.update(stop - start)
                return vectors

            store = build_store(path, ids, rows, identity)
        self._check(store, ids, is_query)
        return store

    def _identity(self, ids: list[str], texts: list[str], is_query: bool, query_length: int | None) -> dict[str, Any]:
        options = {name: self.model.get(name) for name in ("dtype", "attention")}
        if is_query:
            options |= {"query_length": query_length, "query_expansion": self.model.get("query_expansion")}
        else:
            options |= {"document_length": self.model.get("document_length")}
        return {
            "side": "queries" if is_query else "documents",
            "weights": self.checkpoint.sha256,
            "texts": digest([ids, texts]),
            "seed": self.model.get("seed"),
            **options,
        }

    def _pylate(self, query_length: int | None) -> Any:
        if query_length not in self._loaded:
            self._loaded = {query_length: models.load(self.model, self.checkpoint, self.device, query_length)}
        return self._loaded[query_length]

    def _check(self, store: TokenStore, ids: list[str], is_query: bool) -> None:
        expected = self.model.get("dim")
        if expected and store.dim != expected:
            raise HarnessError(
                f"the model '{self.model['name']}' gives token vectors of dimension {store.dim}, expected {expected}: "
                "set model.dim to what the checkpoint has, or take the right checkpoint."
            )
        if is_query and not store.lengths.all():
            first = ids[int(np.flatnonzero(store.lengths == 0)[0])]
            raise HarnessError(
                f"query '{first}' has no token vectors: every query needs at least one token; remove it, or look at "
                "the model's query length."
            )
