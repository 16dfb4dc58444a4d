"""The inner loop of MaxSim on a GPU, in Triton: the product and the maximum over a document's tokens in one kernel.

With the product alone in the library's kernel, each similarity is written to memory and read again: 8 bytes for
2 * dim operations, which keeps a large GPU at a tenth of what it can multiply. Here similarities stay in registers, and
nothing is padded. The tests run the same kernel on a CPU, by Triton's interpreter.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int

_ROWS, _COLUMNS = 128, 64  # query and document tokens that a program multiplies at a time, at most
_NUMBERS = 1 << 14  # of these query tokens: fewer tokens of more dimensions


def maxima(
    queries: Float[torch.Tensor, "queries length dim"],
    tokens: Float[torch.Tensor, "tokens dim"],
    offsets: Int[torch.Tensor, " docs_1"],
    bounds: Int[torch.Tensor, " docs_1"],
    wanted: Int[torch.Tensor, " every"] | None,
) -> Float[torch.Tensor, "pairs length"]:
    """The largest similarity of each query token of each pair; -inf for a document without tokens.

    Document i has the tokens ``offsets[i]`` to ``offsets[i + 1] - 1`` and the pairs ``bounds[i]`` to
    ``bounds[i + 1] - 1``, and pair p is with query ``wanted[p]``; for None, every query wants every document.

    float16 numbers are multiplied exactly and summed as float32. float32 numbers are multiplied by three TF32 products,
    which leave an error of about 2^-21 of each product, where float32 leaves 2^-24. Above 256 dimensions this is very
    slow.
    """
    _, length, dim = queries.shape
    exact = queries.dtype == torch.half
    inner = max(16, triton.next_power_of_2(dim))
    rows, columns = (max(16, min(most, _NUMBERS // inner)) for most in (_ROWS, _COLUMNS))
    tiles = (bounds.diff() * length + rows - 1) // rows
    document = torch.arange(len(tiles), device=tiles.device, dtype=torch.int32).repeat_interleave(tiles)
    first_tile = (tiles.cumsum(0) - tiles).int()
    best = torch.empty(int(bounds[-1] - bounds[0]), length, device=queries.device)
    if len(document):
        _maxima[(len(document),)](
            *(queries, tokens, offsets, bounds, wanted, document, first_tile, best, length),
            *(dim, inner, rows, columns, "ieee" if exact else "tf32x3"),
            num_warps=4 if exact else 8,
            num_stages=2 if exact else 1,
        )
    return best


@triton.jit
@no_type_check
def _maxima(
    queries,
    tokens,
    offsets,
    bounds,
    wanted,
    document,
    first_tile,
    best,
    length,
    DIM: tl.constexpr,
    INNER: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One program multiplies `ROWS` query tokens that want one document with all of its tokens."""
    program = tl.program_id(0)
    doc = tl.load(document + program)
    first_pair, last_pair = tl.load(bounds + doc), tl.load(bounds + doc + 1)
    row = (program - tl.load(first_tile + doc)) * ROWS + tl.arange(0, ROWS)
    inside = row < (last_pair - first_pair) * length
    if wanted is None:
        query = row // length
    else:
        query = tl.load(wanted + first_pair + row // length, mask=inside, other=0).to(tl.int32)
    k = tl.arange(0, INNER)
    asked_row = (query * length + row % length).to(tl.int64) * DIM
    asked = tl.load(queries + asked_row[:, None] + k[None, :], mask=inside[:, None] & (k < DIM)[None, :], other=0.0)
    first_token, stop = tl.load(offsets + doc), tl.load(offsets + doc + 1)
    tokens += first_token * DIM
    count_of_tokens = (stop - first_token).to(tl.int32)
    top = tl.full((ROWS,), float("-inf"), tl.float32)
    first = 0
    while first < count_of_tokens:
        token = first + tl.arange(0, COLUMNS)
        there = (token < count_of_tokens)[None, :] & (k < DIM)[:, None]
        columns = tl.load(tokens + token[None, :] * DIM + k[:, None], mask=there, other=0.0)
        similarity = tl.dot(asked, columns, input_precision=PRECISION)
        similarity = tl.where((token < count_of_tokens)[None, :], similarity, float("-inf"))
        top = tl.maximum(top, tl.max(similarity, axis=1))
        first += COLUMNS
    tl.store(best + (first_pair - tl.load(bounds)) * length + row, top, mask=inside)
