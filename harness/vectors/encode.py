"""From texts to token vectors: PyLate's model encodes them, chunk by chunk, into a `TokenStore` in the cache.

The name of the store's folder is a hash of everything that changes its bytes: the sha256 of the weights, the lengths,
query expansion, dtype, attention, the side (documents or queries), the texts, the shard, the versions of the packages
that encode, and `VERSION`. The batch size and the device are not part of it: they change a result by float rounding
only, and the record names them.

Models that differ in the head alone (`harness.models.heads`) share one store of the backbone's vectors, in float16.
Each head then projects these vectors. Models that differ in their last N layers, too, share a store of what lies below
these. The cut is 0 for the first, N for the second, and None for a model without a head of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.config.shards import CHUNK, WHOLE, Shard
from harness.models import heads
from harness.models.checkpoint import Checkpoint
from harness.models.checkpoint import load as load_model
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.messages import warn_once
from harness.system.progress import Progress, bar
from harness.vectors.build import Encode, build_store, fill
from harness.vectors.forward import vectors
from harness.vectors.query_tokens import REAL, only, places
from harness.vectors.store import TokenStore, TokenVectors, is_complete
from harness.vectors.texts import Texts

log = logging.getLogger(__name__)
VERSION = 1
"""Version of the encoding. Increase it with every change that alters a token vector.

Later steps are repeated after any change of the harness's code. Encoding is not, because a large corpus takes days.
"""


@dataclass
class Encoder:
    """Encodes texts with one model, which is loaded only if some text is not encoded yet.

    Attributes
    ----------
    model : the entry of conf/model, with the user's overrides
    cache : folder of the cache
    batch_tokens : number of tokens per batch; None: 2,048 on a CPU, 65,536 on a GPU
    show : whether progress is shown
    """

    model: dict[str, Any]
    checkpoint: Checkpoint
    cache: Path
    device: torch.device
    batch_tokens: int | None = None
    show: bool = False
    _loaded: dict[int | None, Any] = field(default_factory=dict)

    def encode(
        self, texts: Mapping[str, str], name: str, is_query: bool, query_length: int | None, shard: Shard = WHOLE
    ) -> TokenStore:
        """Token vectors of `texts` or of a shard of them, in order; for the parameters, see `Texts`.

        Raises
        ------
        HarnessError
            If a query has no token vectors, or the dimension is not the configured one.
        """
        source = Texts(texts, name, is_query, query_length, shard)
        rows_of = self._rows_from_model if self._cut is None else self._rows_from_below
        with rows_of(source) as encode_rows:
            store = build_store(*self._store_spec(source, encode_rows))
        self._check(store, list(texts), is_query)
        return store

    def part_of(
        self, store: TokenVectors, texts: Mapping[str, str], query_length: int | None, part: str
    ) -> TokenVectors:
        """Token vectors of a part of each query (`harness.vectors.query_tokens`), in memory.

        Parameters
        ----------
        store
            What `encode` gave for `texts` and `query_length`.
        """
        model = self.pylate(query_length)
        if part == REAL and not model.do_query_expansion:
            warn_once(
                log,
                "the model '%s' does not expand queries: query_tokens=real is the same as query_tokens=all",
                self.model["name"],
            )
            return store
        return only(store, places(model, list(texts.values()), part))

    def is_encoded(self, texts: Mapping[str, str], name: str, query_length: int | None) -> bool:
        """Whether all documents are encoded, so that `help_encode` would do nothing."""
        source = Texts(texts, name, False, query_length)
        return any(is_complete(self._named(source, cut)[0]) for cut in {None, self._cut})

    def help_encode(self, texts: Mapping[str, str], name: str, query_length: int | None) -> None:
        """Encode chunks of documents that no other process is encoding, until all are encoded or taken.

        For a model with a head, only the vectors below it are encoded; the rest is cheap.
        """
        source = Texts(texts, name, False, query_length)
        with self._rows_from_model(source, self._cut) as encode_rows:
            fill(*self._store_spec(source, encode_rows, self._cut))

    def backbone(self, source: Texts, cut: int = 0) -> TokenStore:
        """The vectors below the last `cut` layers and the head, not of unit length (`harness.vectors.forward`).

        All models that differ above the cut alone share this store.
        """
        with self._rows_from_model(source, cut) as encode_rows:
            return build_store(*self._store_spec(source, encode_rows, cut))

    @property
    def _cut(self) -> int | None:
        """Where texts are cut from what the file of a head replaces; None: there is none."""
        return heads.layers(self.checkpoint.trained) if self.checkpoint.head else None

    @property
    def limit(self) -> int:
        """Number of tokens per batch."""
        return self.batch_tokens or (65_536 if self.device.type == "cuda" else 2_048)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the numbers that are multiplied; weights and sums are float32."""
        dtype: torch.dtype = getattr(torch, self.model["dtype"])
        return dtype

    def pylate(self, query_length: int | None) -> Any:
        """PyLate's model, loaded once; None: with the checkpoint's own query length."""
        if query_length not in self._loaded:
            self._loaded = {query_length: load_model(self.model, self.checkpoint, self.device, query_length)}
        return self._loaded[query_length]

    @contextmanager
    def _rows_from_model(self, source: Texts, cut: int | None = None) -> Iterator[Encode]:
        """Gives a function that encodes rows of a store from their texts.

        Its progress covers all chunks of the block, and is shown once there is one to encode.
        """
        contents = list(source.part.values())
        with ExitStack() as stack:

            @cache
            def shown() -> Progress:
                what = "" if cut is None else "backbone vectors of "
                text = f"encode {what}{source.name} {source.side}"
                return stack.enter_context(bar(text, len(contents), self.show, source.side, self.device))

            def encode_rows(start: int, stop: int) -> list[np.ndarray]:
                shown().move_to(start)
                model, texts = self.pylate(source.query_length), contents[start:stop]
                tick = shown().update
                return vectors(model, texts, source.is_query, self.limit, self.dtype, tick, cut)

            yield encode_rows

    @contextmanager
    def _rows_from_below(self, source: Texts) -> Iterator[Encode]:
        """Gives a function that encodes rows of a store from the vectors below the cut."""
        cut, contents = self._cut or 0, list(source.part.values())

        @cache
        def below() -> TokenStore:  # opened only if a row is missing
            return self.backbone(source, cut)

        def encode_rows(start: int, stop: int) -> list[np.ndarray]:
            block, model = below().rows(start, stop), self.pylate(source.query_length)
            if not cut:
                return np.split(heads.project(model, block.tokens), block.offsets[1:-1])
            given = np.split(block.tokens, block.offsets[1:-1])
            texts = contents[start:stop]
            return vectors(model, texts, source.is_query, self.limit, self.dtype, cut=cut, given=given)

        yield encode_rows

    def _store_spec(
        self, source: Texts, encode_rows: Encode, cut: int | None = None
    ) -> tuple[Path, list[str], Encode, dict[str, Any], int]:
        """The arguments of `harness.vectors.build.build_store`."""
        path, identity = self._named(source, cut)
        return path, list(source.part), encode_rows, identity, CHUNK

    def _named(self, source: Texts, cut: int | None) -> tuple[Path, dict[str, Any]]:
        """Folder and identity of a store."""
        sha256 = self.checkpoint.sha256 if cut is None else self.checkpoint.backbone
        if cut is None:
            prefix, weights = self.model["name"], {"weights": sha256, "seed": self.model.get("seed")}
        else:
            prefix, weights = f"backbone-{sha256[:8]}", {"backbone": sha256, **({"below": cut} if cut else {})}
        identity = {**self._identity(source), **weights}
        folder = f"{prefix}-{source.name}-{source.side}-{digest(identity)[:16]}{source.shard.suffix}"
        if not source.shard.is_full:
            identity["shard"] = source.shard.name
        return self.cache / "tokens" / folder, identity

    def _identity(self, source: Texts) -> dict[str, Any]:
        """Everything that changes the bytes of a store, except the weights."""
        options = {name: self.model.get(name) for name in ("dtype", "attention")}
        if source.is_query:
            options |= {"query_length": source.query_length, "query_expansion": self.model.get("query_expansion")}
        else:
            options |= {"document_length": self.model.get("document_length")}
        texts = digest([list(source.texts), list(source.texts.values())])
        made_by = {"packages": provenance.encoders(), "version": VERSION}
        return {"side": source.side, "texts": texts, **options, **made_by}

    def _check(self, store: TokenStore, ids: list[str], is_query: bool) -> None:
        expected = self.model.get("dim")
        if expected and store.dim != expected:
            raise HarnessError(
                f"the model '{self.model['name']}' gives token vectors of dimension {store.dim}, expected {expected}: "
                "set model.dim to the checkpoint's dimension, or choose another checkpoint."
            )
        if is_query and not store.lengths.all():
            first = ids[int(np.flatnonzero(store.lengths == 0)[0])]
            raise HarnessError(
                f"query '{first}' has no token vectors, expected at least one: remove the query, or increase "
                "model.query_length."
            )
