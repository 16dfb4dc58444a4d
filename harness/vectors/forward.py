"""The model's forward pass: unit token vectors of texts, in batches of about equal numbers of tokens.

Texts are sorted by their number of tokens, and a batch has about as many tokens as fit the cache of a CPU, or the
memory of a GPU. PyLate's own `encode` sorts by characters and takes a fixed number of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

if TYPE_CHECKING:
    from pylate.models import ColBERT


def vectors(
    model: ColBERT,
    texts: Sequence[str],
    is_query: bool,
    batch_tokens: int,
    dtype: torch.dtype = torch.float32,
    tick: Callable[[int], object] = lambda _: None,
    upto_head: bool = False,
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
    upto_head
        Return the backbone's vectors of the same tokens instead: [tokens, hidden size], not of unit length.
    """
    from sentence_transformers.util import batch_to_device  # seconds to import, and needed for encoding only

    prompt = model.prompts.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    texts = [prompt + text for text in texts]
    encoded: list[np.ndarray] = [np.empty(0)] * len(texts)
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
            encoded[text] = row[mask]
        tick(len(batch))
    return encoded


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
        stop = start + max(1, batch_tokens // lengths[order[start]])
        yield order[start:stop]
        start = stop
