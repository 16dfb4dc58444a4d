"""Texts to token vectors: PyLate's model encodes, chunk by chunk, into a TokenStore of the cache.

The texts of a chunk are sorted by their number of tokens and encoded in batches of about as many tokens as the cache of
a CPU (or the memory of a GPU) takes well; PyLate's own `encode` sorts by characters and takes a fixed number of texts.

The store's folder is named by what changes its bytes: the weights' sha256, lengths, expansion, dtype, attention, the
side (documents or queries), the texts, the shard, the versions of the packages that encode, and `VERSION`. Batch size
and device are not among them: they move a result by float rounding only, and are kept in the record.

Models that share all but the head (`harness.models.heads`) share a store of the backbone's vectors, in float16 as well, which
each head then projects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from harness.config.shards import CHUNK, WHOLE, Shard
from harness.models import heads
from harness.models.checkpoint import Checkpoint
from harness.models.checkpoint import load as load_model
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.files import digest
from harness.system.progress import bar
from harness.vectors.build import Encode, build_store, fill
from harness.vectors.store import TokenStore, is_complete

if TYPE_CHECKING:
    from pylate.models import ColBERT

VERSION = 1
"""Of what this module makes of a model's output: raise it with any change that moves a token vector.

The steps after it go by all of the harness's code, but a large corpus is days of encoding, which no comment may cost.
"""


@dataclass(frozen=True)
class Texts:
    """Texts of one side, in order, and how they are read: what a token store is made of.

    Attributes
    ----------
    texts : id -> text
    name : readable part of the store's name
    query_length : tokens of a query; None: the checkpoint's own
    shard : which of the texts
    """

    texts: Mapping[str, str]
    name: str
    is_query: bool
    query_length: int | None
    shard: Shard = WHOLE

    @property
    def side(self) -> str:
        """``queries`` or ``documents``."""
        return "queries" if self.is_query else "documents"

    @property
    def part(self) -> dict[str, str]:
        """The shard's texts."""
        rows = self.shard.rows(len(self.texts))
        return dict(list(self.texts.items())[rows.start : rows.stop])


@dataclass
class Encoder:
    """One model, loaded when something must really be encoded.

    Attributes
    ----------
    model : the entry of conf/model, with overrides
    batch_tokens : tokens encoded at once; None: 2,048 on a CPU, 65,536 on a GPU
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
        """Token vectors of `texts` (id -> text) in their order, or of one shard of them; parameters as in `Texts`.

        Raises
        ------
        HarnessError
            If a query has no token vectors, or the vectors are not of the configured dimension.
        """
        source = Texts(texts, name, is_query, query_length, shard)
        rows = self._through_head(source) if self.checkpoint.head else self._through_model(source, upto_head=False)
        store = build_store(*self._inputs(source, rows))
        self._check(store, list(texts), is_query)
        return store

    def is_encoded(self, texts: Mapping[str, str], name: str, query_length: int | None) -> bool:
        """Whether `help_encode` would find nothing to do."""
        source = Texts(texts, name, False, query_length)
        kinds = {False, self.checkpoint.head is not None}
        return any(is_complete(self._named(source, upto_head)[0]) for upto_head in kinds)

    def help_encode(self, texts: Mapping[str, str], name: str, query_length: int | None) -> None:
        """Encode chunks of documents that no other process is encoding, until there are none left.

        Of a model with a head these are the backbone's: projecting them takes no time.
        """
        source, upto_head = Texts(texts, name, False, query_length), self.checkpoint.head is not None
        fill(*self._inputs(source, self._through_model(source, upto_head), upto_head))

    def backbone(self, source: Texts) -> TokenStore:
        """What the head projects: the backbone's vectors (not of unit length) of the tokens that `encode` keeps.

        One store for all models that differ in the head alone.
        """
        return build_store(*self._inputs(source, self._through_model(source, upto_head=True), upto_head=True))

    @property
    def limit(self) -> int:
        """Tokens encoded at once."""
        return self.batch_tokens or (65_536 if self.device.type == "cuda" else 2_048)

    @property
    def dtype(self) -> torch.dtype:
        """Of the products."""
        found: torch.dtype = getattr(torch, self.model["dtype"])
        return found

    def pylate(self, query_length: int | None) -> Any:
        """The model, loaded once."""
        if query_length not in self._loaded:
            self._loaded = {query_length: load_model(self.model, self.checkpoint, self.device, query_length)}
        return self._loaded[query_length]

    def _through_model(self, source: Texts, upto_head: bool) -> Encode:
        """Rows of a store from texts."""
        contents = list(source.part.values())

        def rows(start: int, stop: int) -> list[np.ndarray]:
            with bar(f"encode {source.name} {source.side}", len(contents), self.show) as progress:
                progress.n = start
                model = self.pylate(source.query_length)
                texts, tick = contents[start:stop], progress.update
                return vectors(model, texts, source.is_query, self.limit, self.dtype, tick, upto_head)

        return rows

    def _through_head(self, source: Texts) -> Encode:
        """Rows of a store from the backbone's."""
        backbone = cache(
            lambda: self.backbone(source)
        )  # opened when a row is asked for, which a finished store does not

        def rows(start: int, stop: int) -> list[np.ndarray]:
            block = backbone().rows(start, stop)
            return np.split(heads.project(self.pylate(source.query_length), block.tokens), block.offsets[1:-1])

        return rows

    def _inputs(
        self, source: Texts, rows: Encode, upto_head: bool = False
    ) -> tuple[Path, list[str], Encode, dict[str, Any], int]:
        """What a store is built from: the parameters of `harness.vectors.build.build_store`."""
        path, identity = self._named(source, upto_head)
        return path, list(source.part), rows, identity, CHUNK

    def _named(self, source: Texts, upto_head: bool) -> tuple[Path, dict[str, Any]]:
        """Folder and identity of a store."""
        sha256 = self.checkpoint.backbone if upto_head else self.checkpoint.sha256
        of = f"backbone-{sha256[:8]}" if upto_head else self.model["name"]
        weights = {"backbone": sha256} if upto_head else {"weights": sha256, "seed": self.model.get("seed")}
        identity = {**self._identity(source), **weights}
        folder = f"{of}-{source.name}-{source.side}-{digest(identity)[:16]}{source.shard.suffix}"
        if not source.shard.is_full:
            identity["shard"] = source.shard.name
        return self.cache / "tokens" / folder, identity

    def _identity(self, source: Texts) -> dict[str, Any]:
        """What changes the bytes of a store, beside the weights."""
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
    upto_head: bool = False,
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
    upto_head
        Give the backbone's vectors of the same tokens instead, [tokens, hidden size] and not of unit length.
    """
    from sentence_transformers.util import batch_to_device  # seconds to import, and needed for encoding only

    prompt = model.prompts.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    texts = [prompt + text for text in texts]
    found: list[np.ndarray] = [np.empty(0)] * len(texts)
    for batch in _batches(model, texts, is_query, batch_tokens):
        autocast = torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32)
        with torch.inference_mode(), autocast:
            features = batch_to_device(model.tokenize([texts[i] for i in batch], is_query=is_query), model.device)
            output = (model[0] if upto_head else model).forward(features)
            kept = output["attention_mask"].bool()
            if is_query and model.do_query_expansion:
                kept = torch.ones_like(kept)
            if not is_query:
                kept &= model.skiplist_mask(features["input_ids"], model.skiplist)
            tokens = output["token_embeddings"].float()
            tokens = tokens if upto_head else torch.nn.functional.normalize(tokens, dim=2)
        for text, row, mask in zip(batch, tokens.cpu().numpy(), kept.cpu().numpy(), strict=True):
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
