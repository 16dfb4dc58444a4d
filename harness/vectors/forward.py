"""The model's forward pass: unit token vectors of texts, in batches of about equal numbers of tokens.

Texts are sorted by their number of tokens, and a batch has about as many tokens as fit the cache of a CPU, or the
memory of a GPU. PyLate's own `encode` sorts by characters and takes a fixed number of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float

from harness.models import heads
from harness.models.layers import HIDDEN, LastLayers, placed

if TYPE_CHECKING:
    from pylate.models import ColBERT


def vectors(
    model: ColBERT,
    texts: Sequence[str],
    is_query: bool,
    batch_tokens: int,
    dtype: torch.dtype = torch.float32,
    tick: Callable[[int], object] = lambda _: None,
    cut: int | None = None,
    given: Sequence[np.ndarray] | None = None,
) -> list[Float[np.ndarray, "tokens dim"]]:
    """Unit token vectors of each text, equal to those of `ColBERT.encode`.

    An expanded query keeps all its tokens. Other texts lose their padding, and documents also the tokens of the model's
    skip list.

    Parameters
    ----------
    batch_tokens
        Number of tokens per batch.
    dtype
        Type of the numbers that are multiplied. Weights and sums stay in float32. This costs no time, and the result is
        closer to the float32 model than that of a model loaded in bfloat16.
    tick
        Called after each batch with its number of texts.
    cut
        Return vectors from inside the model instead, [tokens, hidden size], not of unit length. 0: the backbone's, of
        the same tokens; N: those below its last N layers, of all tokens that these look at.
    given
        With `cut`: those vectors of each text, to which only the rest of the model is applied.
    """
    from sentence_transformers.util import batch_to_device  # seconds to import, and needed for encoding only

    texts = prompted(model, texts)
    encoded: list[np.ndarray] = [np.empty(0)] * len(texts)
    last = LastLayers(model, cut) if cut else None
    for batch in _batches(model, texts, is_query, batch_tokens):
        autocast = torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32)
        with torch.inference_mode(), autocast:
            features = batch_to_device(model.tokenize([texts[i] for i in batch], is_query=is_query), model.device)
            if last and given is not None:
                rows = torch.from_numpy(np.concatenate([given[i] for i in batch])).to(model.device)
                features[HIDDEN] = placed([rows], looked_at(model, features, is_query))
                tokens, mask = heads.forward(model, last.above(features)), kept(model, features, is_query)
            elif last:
                tokens, mask = last.below(features), looked_at(model, features, is_query)
            else:
                output = (model[0] if cut == 0 else model).forward(features)
                tokens, mask = output["token_embeddings"], kept(model, features, is_query)
            tokens = tokens.float()
            if cut is None or given is not None:
                tokens = torch.nn.functional.normalize(tokens, dim=2)
        for text, row, places in zip(batch, tokens.cpu().numpy(), mask.cpu().numpy(), strict=True):
            encoded[text] = row[places]
        tick(len(batch))
    return encoded


def prompted(model: ColBERT, texts: Sequence[str]) -> list[str]:
    """The texts with the model's default prompt in front, if it has one."""
    prompt = model.prompts.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    return [prompt + text for text in texts]


def looked_at(model: ColBERT, features: dict[str, torch.Tensor], is_query: bool) -> Bool[torch.Tensor, "texts length"]:
    """Which tokens of a batch a layer computes: all but padding."""
    real = features["attention_mask"].bool()
    return torch.ones_like(real) if is_query and model.do_query_expansion else real


def kept(model: ColBERT, features: dict[str, torch.Tensor], is_query: bool) -> Bool[torch.Tensor, "texts length"]:
    """Which tokens of a batch are a text's: no padding, and nothing of the skip list in documents."""
    mask = looked_at(model, features, is_query)
    return mask if is_query else mask & model.skiplist_mask(features["input_ids"], model.skiplist)


def _batches(model: ColBERT, texts: list[str], is_query: bool, batch_tokens: int) -> Iterator[list[int]]:
    """Numbers of texts, grouped by length, the longest first: a batch that does not fit into memory fails at once."""
    limit = int((model.query_length if is_query else model.document_length) or 512)
    if is_query and model.do_query_expansion:
        lengths = [limit] * len(texts)
    else:
        lengths = [len(ids) for ids in model.tokenizer(texts, truncation=True, max_length=limit)["input_ids"]]
    order = sorted(range(len(texts)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        stop = start + max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start:stop]
        start = stop
