"""SMVE's codes and their search (`harness.methods.smve`) on a GPU, in torch; the tests run them on a CPU.

Codes stay sparse. A kept projection is a pair (text and anchor as one key, value); sorted by key, equal keys are
neighbours and are summed in the order of their tokens. The search multiplies the sparse documents with dense queries, a
few hundred queries at a time.

**Half precision.** A number x is split into two float16 numbers, high(x) and the rest, low(x), which together keep 22
of its 24 significant bits. Projections are high high + low high + high low, summed as float32: three products in
float16, in which a GPU is over ten times as fast as in float32. They leave an error of about 2^-21 times the lengths of
token and anchor, a few roundings of float32.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int

from harness.methods import smve_codes
from harness.system.device import sent
from harness.system.threads import chunks
from harness.vectors.store import Block

if TYPE_CHECKING:
    from harness.methods.smve import SparseEncoding

_PROJECTIONS = 1 << 26  # made at once: 256 MiB of float32
_DENSE = 1 << 25  # numbers of queries as dense columns: 128 MiB
_GROUP = 64  # anchors of which only the largest projection is looked at first
_RANGE = 8  # numbers are scaled below 2^_RANGE before they are split, where float16 is precise and does not overflow


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

    @property
    def texts(self) -> Int[torch.Tensor, " numbers"]:
        """The text of each number."""
        return torch.arange(len(self), device=self.ends.device).repeat_interleave(self.ends.diff())

    @classmethod
    def joined(cls, parts: list[SparseCodes], size: int) -> SparseCodes:
        """The codes of all parts, one part after the other."""
        lengths = torch.cat([part.ends.diff() for part in parts])
        ends = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return cls(ends, torch.cat([part.anchors for part in parts]), torch.cat([part.weights for part in parts]), size)

    def cpu(self) -> smve_codes.SparseCodes:
        """The same in NumPy."""
        anchors = self.anchors.int().cpu().numpy()
        return smve_codes.SparseCodes(self.ends.cpu().numpy(), anchors, self.weights.cpu().numpy(), self.size)

    def rows(self, start: int, stop: int) -> SparseCodes:
        """The codes of consecutive texts."""
        ends = self.ends[start : stop + 1]
        first, last = int(ends[0]), int(ends[-1])
        return SparseCodes(ends - first, self.anchors[first:last], self.weights[first:last], self.size)

    def dense(self) -> Float[torch.Tensor, "size texts"]:
        """The same as columns with zeros."""
        columns = torch.zeros(self.size, len(self), device=self.weights.device)
        columns[self.anchors, self.texts] = self.weights
        return columns


@dataclass(frozen=True)
class Halves:
    """The halves of a float32 matrix [rows, dim] times 2^`shift`, side by side: float16 [rows, 3 * dim]."""

    numbers: torch.Tensor
    shift: torch.Tensor

    @classmethod
    def of_tokens(cls, matrix: Float[torch.Tensor, "rows dim"]) -> Halves:
        """High, low, high."""
        high, low, shift = _halves(matrix)
        return cls(torch.cat([high, low, high], dim=1), shift)

    @classmethod
    def of_anchors(cls, matrix: Float[torch.Tensor, "rows dim"]) -> Halves:
        """High, high, low."""
        high, low, shift = _halves(matrix)
        return cls(torch.cat([high, high, low], dim=1), shift)


def _halves(matrix: Float[torch.Tensor, "rows dim"]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The high and low halves of a scaled matrix, and the exponent of its scale."""
    largest = matrix.abs().amax() if len(matrix) else matrix.new_zeros(())
    shift = _RANGE - torch.frexp(largest).exponent
    scaled = torch.ldexp(matrix, shift)
    high = scaled.half()
    return high, (scaled - high.float()).half(), shift


def encode(encoding: SparseEncoding, block: Block, mean: bool) -> SparseCodes:
    """Codes of the texts of a block: the sum, or the mean, of the projections that kept an anchor.

    Cost: for each token 3 * size * dim multiply-adds in float16, and size projections written and read.
    """
    device, size, texts = encoding.device, encoding.size, len(block.lengths)
    tokens, lengths = Halves.of_tokens(sent(block.tokens, device)), sent(block.lengths, device)
    first_key = torch.arange(texts, device=device).repeat_interleave(lengths)[:, None] * size
    keys, values = [first_key.new_empty(0)], [torch.empty(0, device=device)]
    for piece in chunks(len(block.tokens), max(1, _PROJECTIONS // encoding.width)):
        part = slice(piece.start, piece.stop)
        for r, anchors in enumerate(encoding.halves):
            projections, chosen = largest_projections(tokens, anchors, part, encoding.keep)
            keys.append((chosen + (first_key[part] + r * encoding.width)).flatten())
            values.append(projections.flatten())
    ordered, order = torch.cat(keys).sort(stable=True)
    places, counts = ordered.unique_consecutive(return_counts=True)
    weights = torch.segment_reduce(torch.cat(values)[order], "sum", lengths=counts, axis=0, unsafe=True)
    ends = torch.searchsorted(places, torch.arange(texts + 1, device=device) * size)
    return SparseCodes(ends, places % size, weights / counts if mean else weights, size)


def largest_projections(
    tokens: Halves, anchors: Halves, part: slice, k: int
) -> tuple[Float[torch.Tensor, "tokens k"], Int[torch.Tensor, "tokens k"]]:
    """SMVE's kept projections of some tokens, and their anchors, in no particular order.

    Group i has every anchor whose number is i modulo the number of groups. Each of the k largest projections is in one
    of the k groups with the largest maxima.
    """
    projections = _products(tokens.numbers[part], anchors.numbers.T)
    rows, width = projections.shape
    if width % _GROUP or width <= _GROUP * k:
        values, chosen = projections.topk(k, dim=1, sorted=False)
    else:
        groups = projections.view(rows, _GROUP, -1).amax(dim=1).topk(k, dim=1, sorted=False).indices
        first = torch.arange(0, width, width // _GROUP, device=groups.device)
        members = (groups[:, None] + first[:, None]).flatten(1)
        values, places = projections.gather(1, members).topk(k, dim=1, sorted=False)
        chosen = members.gather(1, places)
    return torch.ldexp(values, -(tokens.shift + anchors.shift)), chosen


def _products(left: Float[torch.Tensor, "m n"], right: Float[torch.Tensor, "n w"]) -> Float[torch.Tensor, "m w"]:
    """A product of float16 numbers, summed as float32."""
    return torch.mm(left, right, out_dtype=torch.float32) if left.is_cuda else left.float() @ right.float()


class Index:
    """The codes of a block of documents as a sparse matrix, to be searched."""

    def __init__(self, codes: SparseCodes) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse (CSR|invariant)")
            self.documents = torch.sparse_csr_tensor(
                codes.ends, codes.anchors, codes.weights, (len(codes), codes.size), check_invariants=False
            )

    def scores(self, queries: SparseCodes) -> Float[torch.Tensor, "queries docs"]:
        """Dot products of all queries with all documents.

        Cost: for each number of a document's code, one multiply-add for each query.
        """
        scores = torch.empty(len(queries), len(self.documents), device=self.documents.device)
        for part in chunks(len(queries), max(1, _DENSE // queries.size)):
            scores[part.start : part.stop] = (self.documents @ queries.rows(part.start, part.stop).dense()).T
        return scores
