"""MaxSim on a GPU (`harness.ranking.maxsim`); the tests run it on a CPU.

**Half precision.** Token vectors that float16 holds exactly (all that a store has on disk, and signs) are multiplied
as float16 and summed as float32. The product of two float16 numbers has at most 22 significant bits, so float32 holds
it exactly: a score differs from that of float32 numbers by the rounding of its sums alone. Other vectors (centered
ones) stay float32.

**Memory.** Beside the queries and a block of documents, the maxima of at most `_PIECE` query tokens are held.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.system.device import sent
from harness.system.errors import HarnessError
from harness.system.threads import runs
from harness.vectors.store import Block, TokenVectors

_PIECE = 1 << 24  # query tokens of pairs that are multiplied at once: their maxima take 64 MiB


def token_bytes(dim: int) -> int:
    """Bytes that a token of a block takes: as float32 on both sides, as float16, and while the two are compared."""
    return 14 * dim


def prepare(queries: TokenVectors, device: torch.device) -> Float[torch.Tensor, "queries length dim"]:
    """All queries, padded with zero vectors to the longest, float16 where that is exact."""
    length, every = int(queries.lengths.max(initial=1)), queries.rows(0, len(queries))
    shift = np.arange(len(queries)) * length - every.offsets[:-1]
    places = np.arange(len(every.tokens)) + np.repeat(shift, every.lengths)
    padded = torch.zeros(len(queries) * length, queries.dim, device=device)
    padded[torch.from_numpy(places).to(device)] = sent(every.tokens, device)
    return _narrowed(padded).view(len(queries), length, queries.dim)


def block_scores(queries: Float[torch.Tensor, "queries length dim"], block: Block) -> torch.Tensor:
    """MaxSim of every query with every document of a block, float32 [queries, docs]; -inf without tokens.

    Cost: queries * length * tokens * dim multiply-adds.
    """
    bounds = np.arange(len(block.lengths) + 1) * len(queries)
    return _scores(queries, block, bounds, None).view(len(block.lengths), len(queries)).T


token_scores = block_scores  # one kernel multiplies matrices, however long a query is


def pair_scores(
    queries: Float[torch.Tensor, "queries length dim"],
    block: Block,
    bounds: Int[np.ndarray, " rows"],
    wanted: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """MaxSim of the documents of a block with the queries that want them (``wanted[bounds[i]:bounds[i + 1]]``)."""
    return numpy(_scores(queries, block, bounds, torch.from_numpy(wanted).to(queries.device)))


def _scores(
    queries: torch.Tensor, block: Block, bounds: Int[np.ndarray, " rows"], wanted: torch.Tensor | None
) -> Float[torch.Tensor, " pairs"]:
    """MaxSim of pairs, document by document; for None, each document is wanted by every query."""
    try:  # only where it is needed: a machine without a GPU may lack Triton
        from harness.ranking.maxsim_triton import maxima
    except ModuleNotFoundError as error:
        raise HarnessError(
            "device=cuda needs the package triton, which torch for Linux brings along, and it is missing: install it, "
            "or set device=cpu."
        ) from error
    device, length = queries.device, queries.shape[1]
    tokens = _narrowed(sent(block.tokens, device))
    if tokens.dtype != queries.dtype:
        tokens, queries = tokens.float(), queries.float()
    offsets, ends = (torch.from_numpy(array).to(device) for array in (block.offsets, bounds))
    scores = torch.empty(int(bounds[-1]), device=device)
    for rows in runs(bounds * length, _PIECE):
        part = slice(rows.start, rows.stop + 1)
        best = maxima(queries, tokens, offsets[part], ends[part], wanted)
        scores[int(bounds[rows.start]) : int(bounds[rows.stop])] = best.sum(dim=1)
    return scores


def _narrowed(tokens: torch.Tensor) -> torch.Tensor:
    """The same numbers as float16, if it holds all of them exactly."""
    narrow = tokens.half()
    return narrow if torch.equal(narrow.float(), tokens) else tokens


def numpy(scores: torch.Tensor) -> np.ndarray:
    """Scores as a numpy array."""
    return scores.cpu().numpy()
