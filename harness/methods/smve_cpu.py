"""SMVE's codes and their search (`harness.methods.smve`) on a CPU; `harness.methods.smve_gpu` is its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.kernels.postings import sum_anchors
from harness.methods.smve_codes import InvertedIndex, SparseCodes
from harness.system.threads import chunks, map_threads
from harness.vectors.store import Block

if TYPE_CHECKING:
    from harness.methods.smve import SparseEncoding

TOKENS = 256  # projected at once by one thread
Index = InvertedIndex


def token_bytes(kept: int) -> int:
    """Bytes that one token takes while its block is encoded and searched, beside its vector: its kept projections.

    As a code and inverted, at most two times 8 bytes for each, and as much while parts are joined.
    """
    return 32 * kept


def encode(encoding: SparseEncoding, block: Block, mean: bool) -> SparseCodes:
    """Codes of the texts of a block: the sum, or the mean, of the projections that kept an anchor."""
    offsets, size = block.offsets, encoding.size

    def encode_rows(rows: range) -> SparseCodes:
        tokens = block.tokens[offsets[rows.start] : offsets[rows.stop]]
        chosen, values = encoding.kept(tokens)
        sums, counts = np.zeros(size, np.float32), np.zeros(size, np.int32)
        ends = np.empty(len(rows) + 1, np.int64)
        anchors, weights = np.empty(chosen.size, np.int32), np.empty(chosen.size, np.float32)
        of_texts = offsets[rows.start : rows.stop + 1] - offsets[rows.start]
        sum_anchors(chosen, values, of_texts, mean, sums, counts, ends, anchors, weights)
        return SparseCodes(ends, anchors[: ends[-1]].copy(), weights[: ends[-1]].copy(), size)

    texts_at_once = max(1, 4 * TOKENS * len(block.lengths) // max(1, len(block.tokens)))
    return SparseCodes.joined(map_threads(encode_rows, chunks(len(block.lengths), texts_at_once)), size)
