"""MUVERA's and SMVE's codes with straight-through gradients.

Forward: the codes of `harness.methods`, with the same definitions and, for the same seed, the same random numbers; of
equal projections SMVE may keep other anchors. Their discrete step is a 0/1 membership m(x): the bucket that a token
falls into (MUVERA), or the anchors that it keeps (SMVE). Backward: m is replaced by a soft membership s(x) of the same
shape,

    m_ste = m + (s - stop_gradient(s))

    MUVERA   s_b = prod_j sigmoid(+-slope h_j.x) over the bits j of bucket b = softmax_b(slope sum_j bit_j(b) h_j.x)
    SMVE     s_a = sigmoid(slope (a.x - t)), t halfway between the k-th and the (k + 1)-th largest projection

Bengio et al. (arXiv 1308.3432) estimate gradients of discrete steps in this way. Without a slope the backward pass is
hard: membership is constant, and gradients reach a token only through the values that it adds to its buckets or
anchors.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from harness.methods.method import Method
from harness.methods.muvera import FixedDimensionalEncoding, Muvera
from harness.methods.smve import Smve, SparseEncoding
from harness.system.errors import HarnessError

_NEAR = 4  # SMVE: gradients reach the 4 k nearest anchors of a token; beyond them the sigmoid is flat
_CPU = torch.device("cpu")


class Codes(nn.Module):
    """A fixed random projection that makes one vector of each bag of token vectors.

    Parameters
    ----------
    slope
        Slope of the soft membership in the backward pass; None: hard.

    Attributes
    ----------
    method : the method with the same codes
    unit : mean squared length of the code of one random unit vector; scores divided by it are on MaxSim's scale
    """

    method: ClassVar[type[Method]]
    unit: float

    def __init__(self, slope: float | None) -> None:
        super().__init__()
        self.slope = slope

    def forward(
        self, tokens: Float[torch.Tensor, "texts length dim"], mask: Bool[torch.Tensor, "texts length"], is_query: bool
    ) -> Float[torch.Tensor, "texts size"]:
        """Codes of texts with centered tokens: sums for queries, means for documents. `mask` is False at padding."""
        raise NotImplementedError

    @classmethod
    def check(cls, options: dict[str, Any]) -> None:
        """Refuse options that the method does not accept; its constructor checks them and computes nothing.

        Raises
        ------
        HarnessError
            If an option has a value that the method refuses.
        TypeError
            If an option is missing or unknown.
        """
        cls.method(**options)

    def _straight_through(self, hard: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
        """The values of `hard` with the gradients of `soft`."""
        return hard + (soft - soft.detach())

    def _measure_unit(self, dim: int) -> float:
        """The attribute `unit`, estimated from 1,024 random unit vectors."""
        tokens = np.random.default_rng(0).standard_normal((1024, 1, dim), dtype=np.float32)
        tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
        with torch.no_grad():
            codes = self(torch.from_numpy(tokens), torch.ones(1024, 1, dtype=torch.bool), is_query=True)
            return float(codes.square().sum(dim=1).mean())


class MuveraCodes(Codes):
    """MUVERA's fixed dimensional encodings (`harness.methods.muvera`).

    Attributes
    ----------
    planes : the hyperplanes, [dim, R * bits]
    projections : the inner projections, [dim, R * d]; without projection, the identity for each repetition
    patterns : the bits of each bucket's number, [buckets, bits]
    """

    method = Muvera
    planes: torch.Tensor
    projections: torch.Tensor
    patterns: torch.Tensor

    def __init__(
        self, dim: int, repetitions: int, bits: int, projection: int | None, seed: int, slope: float | None
    ) -> None:
        super().__init__(slope)
        fde = FixedDimensionalEncoding(dim, repetitions, bits, projection, seed, _CPU)
        self.repetitions, self.bits, self.width = repetitions, bits, fde.width
        identity = torch.eye(dim).repeat(1, repetitions)
        self.register_buffer("planes", fde.planes, persistent=False)
        self.register_buffer("projections", identity if fde.projections is None else fde.projections, persistent=False)
        numbers = torch.arange(fde.buckets)
        self.register_buffer("patterns", (numbers[:, None] >> torch.arange(bits)) & 1, persistent=False)
        self.unit = self._measure_unit(dim)

    def forward(
        self, tokens: Float[torch.Tensor, "texts length dim"], mask: Bool[torch.Tensor, "texts length"], is_query: bool
    ) -> Float[torch.Tensor, "texts size"]:
        """As `Codes.forward`; empty buckets of documents take the nearest token."""
        shape = (*tokens.shape[:2], self.repetitions)
        sides = (tokens @ self.planes).view(*shape, self.bits)
        bucket = ((sides > 0) * (1 << torch.arange(self.bits, device=tokens.device))).sum(dim=-1)
        member = tokens.new_zeros(*shape, len(self.patterns)).scatter_(3, bucket[..., None], 1.0)
        if self.slope is not None:
            soft = (self.slope * sides @ self.patterns.T.to(tokens.dtype)).softmax(dim=-1)
            member = self._straight_through(member, soft)
        member = (member * mask[:, :, None, None]).permute(0, 2, 3, 1)  # [texts, R, buckets, length]
        projected = (tokens @ self.projections).view(*shape, self.width).transpose(1, 2)  # [texts, R, length, d]
        sums = member @ projected
        if not is_query:
            counts = member.sum(dim=3, keepdim=True)
            sums = torch.where(
                counts.detach() > 0.5, sums / counts.clamp(min=1), self._nearest(bucket, mask, projected)
            )
        return sums.flatten(1)

    def _nearest(self, bucket: torch.Tensor, mask: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
        """For every bucket, the projection of the token that is nearest in Hamming distance; the first on ties.

        This is the minimum of (distance, token), as one number distance * length + token. One pass per bit compares
        each bucket with the bucket that differs in this bit alone.
        """
        length, buckets = bucket.shape[1], len(self.patterns)
        with torch.no_grad():
            token = torch.arange(length, device=bucket.device)[:, None].where(
                mask[:, :, None], (self.bits + 1) * length
            )
            token = token.expand_as(bucket).transpose(1, 2)
            nearest = torch.full((*token.shape[:2], buckets), (self.bits + 1) * length, device=bucket.device)
            nearest = nearest.scatter_reduce(2, bucket.transpose(1, 2), token, "amin")
            for bit in range(self.bits):
                across = torch.arange(buckets, device=bucket.device) ^ (1 << bit)
                nearest = torch.minimum(nearest, nearest[:, :, across] + length)
            nearest %= length
        return projected.gather(2, nearest[..., None].expand(-1, -1, -1, projected.shape[-1]))


class SmveCodes(Codes):
    """SMVE's sparse codes (`harness.methods.smve`), as dense rows.

    Attributes
    ----------
    anchors : the independent sets of anchors, [repetitions, dim, w]
    """

    method = Smve
    anchors: torch.Tensor

    def __init__(
        self, dim: int, width: int, keep: int, repetitions: int, anchors: str, seed: int, slope: float | None
    ) -> None:
        super().__init__(slope)
        encoding = SparseEncoding(dim, width, keep, repetitions, anchors, seed, _CPU)
        self.keep, self.width, self.repetitions = keep, width, repetitions
        sets = torch.stack([torch.from_numpy(anchor_set.matrix) for anchor_set in encoding.sets])
        self.register_buffer("anchors", sets, persistent=False)
        self.unit = self._measure_unit(dim)

    def forward(
        self, tokens: Float[torch.Tensor, "texts length dim"], mask: Bool[torch.Tensor, "texts length"], is_query: bool
    ) -> Float[torch.Tensor, "texts size"]:
        """As `Codes.forward`."""
        return torch.cat([self._codes_of_set(tokens, mask, is_query, anchors) for anchors in self.anchors], dim=1)

    def _codes_of_set(
        self, tokens: torch.Tensor, mask: torch.Tensor, is_query: bool, anchors: torch.Tensor
    ) -> torch.Tensor:
        """Codes [texts, w] on one of the independent sets of anchors, [dim, w]."""
        text, place = mask.nonzero(as_tuple=True)
        near = self.keep if self.slope is None else min(_NEAR * self.keep, self.width)
        values, chosen = (tokens[text, place] @ anchors).topk(near, dim=1)  # largest first
        member = (torch.arange(near, device=tokens.device) < self.keep).to(tokens.dtype).expand_as(values)
        if self.slope is not None and near > self.keep:
            threshold = values[:, self.keep - 1 : self.keep + 1].mean(dim=1, keepdim=True).detach()
            member = self._straight_through(member, torch.sigmoid(self.slope * (values - threshold)))
        cells = (text[:, None] * self.width + chosen).flatten()
        empty = tokens.new_zeros(len(tokens) * self.width)
        codes = empty.scatter_add(0, cells, (member * values).flatten())
        if not is_query:
            codes = codes / empty.scatter_add(0, cells, member.flatten()).clamp(min=1)
        return codes.view(len(tokens), self.width)


_KINDS: dict[str, type[MuveraCodes] | type[SmveCodes]] = {"ste_muvera": MuveraCodes, "ste_smve": SmveCodes}
"""Name of an entry of conf/objective -> the class of its codes."""


def make(objective: dict[str, Any], dim: int) -> Codes | None:
    """The codes for an entry of conf/objective; None for ``contrastive``, which has none.

    Raises
    ------
    HarnessError
        If the entry's options make no codes.
    """
    kind = _KINDS.get(objective["name"])
    if kind is None:
        return None
    try:
        kind.check(objective["codes"])
        return kind(dim, **objective["codes"], slope=objective["slope"])
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise HarnessError(
            f"objective.codes={objective['codes']} makes no codes for {dim} dimensions ({error}): change these options."
        ) from error
