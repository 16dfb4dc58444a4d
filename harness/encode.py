"""Texts to token vectors: PyLate's model encodes, chunk by chunk, into a TokenStore of the cache.

The texts of a chunk are sorted by their number of tokens and encoded in batches of about as many tokens as the cache of
a CPU (or the memory of a GPU) takes well; PyLate's own `encode` sorts by characters and takes a fixed number of texts.

The store's folder is named by what changes its bytes: the weights' sha256, lengths, expansion, dtype, attention, the
side (documents or queries), the texts, and the shard. Batch size and device are not among them: they move a result by
float rounding only, and are kept in the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from harness import models
from harness.errors import HarnessError
from harness.files import digest
from harness.progress import bar
from harness.shards import CHUNK, WHOLE, Shard
from harness.store import TokenStore
from harness.store_build import build_store

if TYPE_CHECKING:
    from pylate.models import ColBERT


@dataclass
class Encoder:
    """One model, loaded when something must really be encoded.

    Attributes
    ----------
    model : the entry of conf/model, with overrides
    batch_tokens : tokens encoded at once; None: 2,048 on a CPU, 65,536 on a GPU
    """

    model: dict[str, Any]
    checkpoint: models.Checkpoint
    cache: Path
    device: torch.device
    batch_tokens: int | None = None
    show: bool = False
    _loaded: dict[int | None, Any] = field(default_factory=dict)

    def encode(
        self, texts: Mapping[str, str], name: str, is_query: bool, query_length: int | None, shard: Shard = WHOLE
    ) -> TokenStore:
        """Token vectors of `texts` (id -> text) in their order, or of one shard of them.

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
        path = self.cache / "tokens" / f"{self.model['name']}-{name}-{side}-{digest(identity)[:16]}{shard.suffix}"
        part = shard.rows(len(ids))
        ids, contents = ids[part.start : part.stop], contents[part.start : part.stop]
        if not shard.is_whole:
            identity["shard"] = shard.name
        with bar(f"encode {name} {side}", len(ids), self.show) as progress:

            def rows(start: int, stop: int) -> list[np.ndarray]:
                progress.n = start
                model, limit = self._pylate(query_length), self.batch_tokens
                limit = limit or (65_536 if self.device.type == "cuda" else 2_048)
                dtype = getattr(torch, self.model["dtype"])
                return vectors(model, contents[start:stop], is_query, limit, dtype, progress.update)

            store = build_store(path, ids, rows, identity, CHUNK)
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


def vectors(
    model: ColBERT,
    texts: Sequence[str],
    is_query: bool,
    batch_tokens: int,
    dtype: torch.dtype = torch.float32,
    tick: Callable[[int], object] = lambda _: None,
) -> list[Float[np.ndarray, "tokens dim"]]:
    """Unit token vectors of each text, as `ColBERT.encode` gives them.

    A query keeps all its tokens if it is expanded; else, padding is left out, and of documents the skip list.

    Parameters
    ----------
    dtype
        Of the products. Weights and sums stay in float32, which costs no time and is closer to float32 throughout than
        a model that is loaded in bfloat16.
    tick
        Called with the number of texts of each batch.
    """
    from sentence_transformers.util import batch_to_device  # seconds to import, and needed for encoding only

    prompt = model.prompts.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    texts = [prompt + text for text in texts]
    found: list[np.ndarray] = [np.empty(0)] * len(texts)
    for batch in _batches(model, texts, is_query, batch_tokens):
        autocast = torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32)
        with torch.inference_mode(), autocast:
            features = batch_to_device(model.tokenize([texts[i] for i in batch], is_query=is_query), model.device)
            output = model.forward(features)
            kept = output["attention_mask"].bool()
            if is_query and model.do_query_expansion:
                kept = torch.ones_like(kept)
            if not is_query:
                kept &= model.skiplist_mask(features["input_ids"], model.skiplist)
            tokens = torch.nn.functional.normalize(output["token_embeddings"].float(), dim=2).cpu().numpy()
        for text, row, mask in zip(batch, tokens, kept.cpu().numpy(), strict=True):
            found[text] = row[mask]
        tick(len(batch))
    return found


def _batches(model: ColBERT, texts: list[str], is_query: bool, batch_tokens: int) -> Iterator[list[int]]:
    """Texts of like length together, the longest first (what does not fit into memory fails at once)."""
    limit = int((model.query_length if is_query else model.document_length) or 512)
    if is_query and model.do_query_expansion:
        lengths = [limit] * len(texts)
    else:
        lengths = [len(ids) for ids in model.tokenizer(texts, truncation=True, max_length=limit)["input_ids"]]
    order = sorted(range(len(texts)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        stop = start + max(1, batch_tokens // lengths[order[start]])
        yield order[start:stop]
        start = stop
