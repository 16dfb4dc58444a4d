"""MUVERA: one fixed dimensional encoding (FDE) per text (Dhulipala et al., NeurIPS 2024, arXiv 2405.19504).

Each of R repetitions has k Gaussian hyperplanes h and a projection to d dimensions, S in {-1, +1}^(d x dim) / sqrt(d):

    bucket(x) = sum_j [h_j . x > 0] 2^j               k sign bits, 2^k buckets (SimHash)
    query:      F_q[r, b] = sum of S x over its tokens in bucket b
    document:   F_d[r, b] = mean of S x over its tokens in bucket b;
                an empty bucket takes S x of the token whose bits are nearest in Hamming distance, the first on ties

The FDE is the concatenation, R * 2^k * d numbers; the score is F_q . F_d. Without inner projection S is the identity
and d = dim.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.candidates import Found, Resources
from harness.errors import HarnessError
from harness.progress import Stopwatch, bar
from harness.ranking import RunningTopK
from harness.store import Block, TokenStore


class FixedDimensionalEncoding:
    """The random parts of MUVERA for one dimension of token vectors, and the encoding itself.

    Parameters
    ----------
    dim, repetitions, bits, projection
        Token dimension; R, k and d above; `projection` None: no inner projection.
    """

    def __init__(
        self, dim: int, repetitions: int, bits: int, projection: int | None, seed: int, device: torch.device
    ) -> None:
        self.repetitions, self.bits, self.device = repetitions, bits, device
        self.width = projection or dim
        planes = np.random.default_rng([seed, 0]).standard_normal((dim, repetitions * bits), dtype=np.float32)
        self.planes = torch.from_numpy(planes).to(device)  # [dim, R * k]
        self.projections = None  # [dim, R * d]
        if projection is not None:
            signs = np.random.default_rng([seed, 1]).integers(0, 2, (dim, repetitions * projection)) * 2 - 1
            self.projections = torch.from_numpy((signs / np.sqrt(projection)).astype(np.float32)).to(device)

    @property
    def buckets(self) -> int:
        """2^k."""
        return 1 << self.bits

    @property
    def size(self) -> int:
        """Numbers in one FDE: R * 2^k * d."""
        return self.repetitions * self.buckets * self.width

    def queries(self, block: Block) -> Float[torch.Tensor, "rows size"]:
        """FDEs of the queries of a block."""
        projected, cells = self._tokens(block)
        return self._sums(projected, cells, len(block.lengths)).view(len(block.lengths), self.size)

    def documents(self, block: Block) -> Float[torch.Tensor, "rows size"]:
        """FDEs of the documents of a block; zeros for a document without tokens."""
        rows = len(block.lengths)
        projected, cells = self._tokens(block)
        sums = self._sums(projected, cells, rows)
        counts = torch.zeros(len(sums), device=self.device)
        counts.scatter_add_(0, cells.view(-1), torch.ones(cells.numel(), device=self.device))
        sums /= counts.clamp(min=1).unsqueeze(1)
        lengths = torch.from_numpy(block.lengths).to(self.device)
        cell, token = self._fill(cells, counts, lengths)
        repetition = cell // self.buckets % self.repetitions
        sums[cell] = projected[token, repetition]
        return sums.view(rows, self.size)

    def _tokens(self, block: Block) -> tuple[Float[torch.Tensor, "tokens R d"], Int[torch.Tensor, "tokens R"]]:
        """Each token's projections, and the cell (row, repetition, bucket) it falls into, in each repetition."""
        tokens = torch.from_numpy(block.tokens).to(self.device)
        signs = (tokens @ self.planes > 0).view(-1, self.repetitions, self.bits)
        bucket = (signs * (1 << torch.arange(self.bits, device=self.device))).sum(dim=2)
        row = np.repeat(np.arange(len(block.lengths)), block.lengths)
        first = torch.from_numpy(row).to(self.device)[:, None] * self.repetitions
        cells = (first + torch.arange(self.repetitions, device=self.device)) * self.buckets + bucket
        if self.projections is None:
            return tokens[:, None, :].expand(-1, self.repetitions, -1), cells
        return (tokens @ self.projections).view(-1, self.repetitions, self.width), cells

    def _sums(self, projected: torch.Tensor, cells: torch.Tensor, rows: int) -> Float[torch.Tensor, "cells d"]:
        """Sum of the projected tokens of each cell."""
        sums = torch.zeros(rows * self.repetitions * self.buckets, self.width, device=self.device)
        index = cells.reshape(-1, 1).expand(-1, self.width)
        return sums.scatter_add_(0, index, projected.reshape(-1, self.width))

    def _fill(
        self, cells: torch.Tensor, counts: torch.Tensor, lengths: Int[torch.Tensor, " rows"]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """For each empty cell of a document with tokens: the cell, and the token that fills it.

        The nearest token is the minimum of (Hamming distance, token), as one number: distance * step + token. Hamming
        distance is a sum over bits, so that this minimum over all buckets is taken one bit at a time: k passes in
        which each bucket looks only at the one across that bit.
        """
        tokens = len(cells)
        step = tokens + 1
        nobody = (self.bits + 1) * step
        nearest = torch.full((len(counts),), nobody, dtype=torch.int64, device=self.device)
        token = torch.arange(tokens, device=self.device)[:, None].expand_as(cells)
        nearest.scatter_reduce_(0, cells.reshape(-1), token.reshape(-1), "amin")
        nearest = nearest.view(-1, self.buckets)
        for bit in range(self.bits):
            across = torch.arange(self.buckets, device=self.device) ^ (1 << bit)
            nearest = torch.minimum(nearest, nearest[:, across] + step)
        has_tokens = (lengths > 0).repeat_interleave(self.repetitions * self.buckets)
        empty = torch.nonzero((counts == 0) & has_tokens).squeeze(1)
        return empty, nearest.view(-1)[empty] % step

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes while its block is encoded: projections (twice), signs, cells."""
        return 4 * self.repetitions * (2 * self.width + 3 * self.bits + 12)

    @property
    def row_bytes(self) -> int:
        """Bytes that one text takes while its block is encoded: its FDE, what fills it, and its cells."""
        return 8 * self.size + 40 * self.repetitions * self.buckets


class Muvera:
    """FDEs made and searched block by block, by dot product."""

    def __init__(self, repetitions: int, bits: int, projection: int | None, seed: int) -> None:
        if min(repetitions, bits, 1 if projection is None else projection) < 1 or bits > 16:
            raise HarnessError(
                f"MUVERA with repetitions={repetitions}, bits={bits}, projection={projection}: expected repetitions "
                "and projection of at least 1 (or projection=null) and 1 to 16 bits."
            )
        self.options = (repetitions, bits, projection, seed)

    def search(self, docs: TokenStore, queries: TokenStore, k: int, resources: Resources) -> Found:
        """The k best documents of each query by F_q . F_d."""
        watch = Stopwatch()
        device = resources.device
        fde = FixedDimensionalEncoding(docs.dim, *self.options, device)
        with watch.phase("encode_queries"):
            blocks = queries.blocks(fde.token_bytes, fde.row_bytes, resources.block_bytes)
            query_codes = torch.cat([fde.queries(block) for block in blocks])
        best = RunningTopK(len(queries), min(k, len(docs)), device)
        row_bytes = fde.row_bytes + 12 * len(queries)  # its scores and their sort keys
        with bar("MUVERA", len(docs), resources.show) as progress:
            for block in docs.blocks(fde.token_bytes, row_bytes, resources.block_bytes):
                with watch.phase("encode_documents"):
                    codes = fde.documents(block)
                with watch.phase("search"):
                    scores = query_codes @ codes.T
                    scores[:, torch.from_numpy(block.lengths == 0).to(device)] = -torch.inf
                    best.add(torch.arange(block.start, block.stop, device=device), scores)
                progress.update(len(block.lengths))
        with watch.phase("search"):
            ranking = best.ranking()
        return Found(ranking, watch.seconds, len(docs) * fde.size * 4, {"code_size": fde.size})
