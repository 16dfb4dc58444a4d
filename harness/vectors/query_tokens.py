"""The real tokens of queries: those before the expansion tokens, with which PyLate pads a query to its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from harness.system.errors import HarnessError
from harness.vectors.store import StoreInMemory, TokenVectors

if TYPE_CHECKING:
    from pylate.models import ColBERT


def real_lengths(model: ColBERT, texts: Sequence[str]) -> Int[np.ndarray, " queries"]:
    """The number of real tokens of each query: those before the expansion tokens, which pad it to the query length."""
    prompt = model.prompts.get(model.default_prompt_name, "") if model.default_prompt_name else ""
    attends, model.attend_to_expansion_tokens = model.attend_to_expansion_tokens, False
    try:
        mask = model.tokenize([prompt + text for text in texts], is_query=True)["attention_mask"].numpy()
    finally:
        model.attend_to_expansion_tokens = attends
    lengths = mask.sum(axis=1).astype(np.int64)
    if (mask != (np.arange(mask.shape[1]) < lengths[:, None])).any():
        raise HarnessError(
            "the model's expansion tokens do not stand at the end of a query, expected them there: set "
            "center.query_tokens=all."
        )
    return lengths


def shortened(source: TokenVectors, lengths: np.ndarray) -> TokenVectors:
    """The first tokens of each row, copied into memory; `lengths`: how many, int64 [rows]."""
    every = source.rows(0, len(source))
    ends = every.offsets[:-1] + lengths
    kept = np.concatenate([np.arange(a, b) for a, b in zip(every.offsets[:-1], ends, strict=True)])
    return StoreInMemory(every.tokens[kept], lengths)
