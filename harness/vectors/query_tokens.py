"""Parts of a query's tokens: the real ones, before the expansion tokens with which PyLate pads it; and its words.

all     [CLS] [Q] how does lift arise [SEP] [MASK] [MASK] ...
real    [CLS] [Q] how does lift arise [SEP]
words             how does lift arise
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from harness.system.errors import HarnessError
from harness.vectors.forward import prompted
from harness.vectors.store import StoreInMemory, TokenVectors

if TYPE_CHECKING:
    from pylate.models import ColBERT

REAL, WORDS = "real", "words"


def places(model: ColBERT, texts: Sequence[str], part: str) -> Bool[np.ndarray, "queries length"]:
    """Which tokens of each query belong to a part; of a query without words, its real tokens.

    Raises
    ------
    HarnessError
        If expansion tokens stand elsewhere than at the end.
    """
    attends, model.attend_to_expansion_tokens = model.attend_to_expansion_tokens, False
    try:
        tokens = model.tokenize(prompted(model, texts), is_query=True)
    finally:
        model.attend_to_expansion_tokens = attends
    real = tokens["attention_mask"].numpy().astype(bool)
    if (real != (np.arange(real.shape[1]) < real.sum(axis=1)[:, None])).any():
        raise HarnessError(
            "the model's expansion tokens do not stand at the end of a query, expected them there: set "
            "center.query_tokens=all."
        )
    if part == REAL:
        return real
    special = [*model.tokenizer.all_special_ids, model.query_prefix_id]
    words = real & ~np.isin(tokens["input_ids"].numpy(), [number for number in special if number is not None])
    words[~words.any(axis=1)] = real[~words.any(axis=1)]
    return words


def only(source: TokenVectors, kept: Iterable[np.ndarray]) -> TokenVectors:
    """The tokens of each row that a mask keeps, copied into memory; places beyond a row's end do not count."""
    every = source.rows(0, len(source))
    chosen = [mask[: b - a] for mask, a, b in zip(kept, every.offsets[:-1], every.offsets[1:], strict=True)]
    lengths: Int[np.ndarray, " queries"] = np.array([mask.sum() for mask in chosen], dtype=np.int64)
    return StoreInMemory(every.tokens[np.concatenate(chosen)], lengths)
