"""SMVE's codes and their search (`harness.methods.smve`) on a GPU, in torch; the tests run them on a CPU.

Codes stay sparse. A kept projection is a pair (text and anchor as one key, value); sorted by key, equal keys are
neighbours and are summed in the order of their tokens, so a code does not depend on what else is encoded. The search
multiplies the sparse documents with dense queries, a few queries at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int

from harness.system.threads import chunks
from harness.vectors.store import Block

if TYPE_CHECKING:
    from harness.methods.smve import SparseEncoding

_PROJECTIONS = 1 << 25  # made at once: 128 MiB of float32
_DENSE = 1 << 23  # numbers of queries as dense columns: 32 MiB, which stay in the cache of a large GPU
_GROUP = 32  # neighbouring anchors of which only the largest projection is looked at first


def token_bytes(kept: int) -> int:
    """Bytes that one token takes while its block is encoded: its kept projections and their keys, twice."""
    return 96 * kept


@dataclass(frozen=True)
class SparseCodes:
    """Codes of some texts, as `harness.methods.smve_codes.SparseCodes`, on a device."""

    ends: Int[torch.Tensor, " texts_1"]
    anchors: Int[torch.Tensor, " numbers"]
    weights: Float[torch.Tensor, " numbers"]
    size: int

    def __len__(self) -> int:
        return len(self.ends) - 1

    @classmethod
    def joined(cls, parts: list[SparseCodes], size: int) -> SparseCodes:
        """The codes of all parts, one part after the other."""
        lengths = torch.cat([part.ends.diff() for part in parts])
        ends = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return cls(ends, torch.cat([part.anchors for part in parts]), torch.cat([part.weights for part in parts]), size)

    def rows(self, start: int, stop: int) -> SparseCodes:
        """The codes of consecutive texts."""
        ends = self.ends[start : stop + 1]
        first, last = int(ends[0]), int(ends[-1])
        return SparseCodes(ends - first, self.anchors[first:last], self.weights[first:last], self.size)

    def dense(self) -> Float[torch.Tensor, "size texts"]:
        """The same as columns with zeros."""
        text = torch.arange(len(self), device=self.ends.device).repeat_interleave(self.ends.diff())
        columns = torch.zeros(self.size, len(self), device=self.weights.device)
        columns[self.anchors, text] = self.weights
        return columns


def encode(encoding: SparseEncoding, block: Block, mean: bool) -> SparseCodes:
    """Codes of the texts of a block: the sum, or the mean, of the projections that kept an anchor.

    Cost: for each token size * dim multiply-adds, and size projections written and read twice.
    """
    device, size, texts = encoding.device, encoding.size, len(block.lengths)
    tokens, lengths = (torch.from_numpy(array).to(device) for array in (block.tokens, block.lengths))
    first_key = torch.arange(texts, device=device).repeat_interleave(lengths)[:, None] * size
    keys, values = [tokens.new_empty(0, dtype=torch.int64)], [tokens.new_empty(0)]
    for piece in chunks(len(tokens), max(1, _PROJECTIONS // encoding.width)):
        part = slice(piece.start, piece.stop)
        for r, matrix in enumerate(encoding.matrices):
            projections, anchors = largest_projections(tokens[part], matrix, encoding.keep)
            keys.append((first_key[part] + r * encoding.width + anchors).flatten())
            values.append(projections.flatten())
    ordered, order = torch.cat(keys).sort(stable=True)
    places, counts = ordered.unique_consecutive(return_counts=True)
    weights = torch.segment_reduce(torch.cat(values)[order], "sum", lengths=counts, axis=0, unsafe=True)
    ends = torch.searchsorted(places, torch.arange(texts + 1, device=device) * size)
    return SparseCodes(ends, places % size, weights / counts if mean else weights, size)


def largest_projections(
    tokens: Float[torch.Tensor, "tokens dim"], anchors: Float[torch.Tensor, "dim width"], k: int
) -> tuple[Float[torch.Tensor, "tokens k"], Int[torch.Tensor, "tokens k"]]:
    """SMVE's kept projections of each token, and their anchors.

    Each of the k largest is in one of the k groups of neighbours with the largest maxima.
    """
    projections = tokens @ anchors
    width = projections.shape[1]
    if width % _GROUP or width <= _GROUP * k:
        return projections.topk(k, dim=1, sorted=False)
    grouped = projections.view(len(tokens), -1, _GROUP)
    groups = grouped.amax(dim=2).topk(k, dim=1, sorted=False).indices
    numbers = torch.arange(len(tokens), device=tokens.device)[:, None]
    values, places = grouped[numbers, groups].flatten(1).topk(k, dim=1, sorted=False)
    return values, groups.gather(1, places // _GROUP) * _GROUP + places % _GROUP


class Index:
    """The codes of a block of documents, to be searched."""

    def __init__(self, codes: SparseCodes) -> None:
        self.codes = codes

    def scores(self, queries: SparseCodes) -> Float[torch.Tensor, "queries docs"]:
        """Dot products of all queries with all documents.

        Cost: for each number of a document's code, one multiply-add for each query.
        """
        codes = self.codes
        scores = torch.empty(len(queries), len(codes), device=codes.weights.device)
        for part in chunks(len(queries), max(1, _DENSE // codes.size)):
            scores[part.start : part.stop] = torch.nn.functional.embedding_bag(
                codes.anchors,
                queries.rows(part.start, part.stop).dense(),
                codes.ends,
                per_sample_weights=codes.weights,
                mode="sum",
                include_last_offset=True,
            ).T
        return scores
