"""MUVERA: one fixed dimensional encoding (FDE) per text (Dhulipala et al., NeurIPS 2024, arXiv 2405.19504).

Each of R repetitions has k Gaussian hyperplanes h and a projection to d dimensions, S in {-1, +1}^(d x dim) / sqrt(d):

    bucket(x) = sum_j [h_j . x > 0] 2^j               k sign bits, 2^k buckets (SimHash)
    query:      F_q[r, b] = sum of S x over its tokens in bucket b
    document:   F_d[r, b] = mean of S x over its tokens in bucket b;
                an empty bucket takes S x of the token whose bits are nearest in Hamming distance, the first on ties

The FDE is the concatenation, R * 2^k * d numbers; the score is F_q . F_d. Without inner projection S is the identity
and d = dim.

Documents are encoded and searched in tiles of 256, and queries by the stores that they are stacked of, one product for
each of both, so that a score depends neither on the memory at hand, nor on the number of threads or shards, nor on what
else is searched at the same time, down to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from harness.kernels.buckets import sum_buckets
from harness.methods import muvera_gpu
from harness.methods.method import Method, SearchResult
from harness.ranking.resources import Resources
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch, bar
from harness.system.threads import chunks, map_threads
from harness.vectors.store import Block, TokenStore

TILE = 256  # documents in one product of the search
_TEXTS = 8  # encoded at once by one thread: their bucket sums stay in the cache


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
        return self._encode(block, fill=False)

    def documents(self, block: Block) -> Float[torch.Tensor, "rows size"]:
        """FDEs of the documents of a block; zeros for a document without tokens."""
        return self._encode(block, fill=True)

    def _encode(self, block: Block, fill: bool) -> torch.Tensor:
        if self.device.type == "cuda":
            return muvera_gpu.fde(block, self.planes, self.projections, self.bits, fill)
        return torch.from_numpy(encode(block, self.planes.numpy(), self._by_repetition(), self.bits, fill))

    def _by_repetition(self) -> np.ndarray | None:
        """The projections, float32 [R, dim, d]."""
        if self.projections is None:
            return None
        return np.ascontiguousarray(
            self.projections.numpy().reshape(len(self.projections), self.repetitions, self.width).transpose(1, 0, 2)
        )

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes while its block is encoded, beside its vector: products with the planes, signs."""
        return 4 * self.repetitions * (2 * self.width + 3 * self.bits + 12) if self.device.type == "cuda" else 0

    @property
    def row_bytes(self) -> int:
        """Bytes that one text takes while its block is encoded: its FDE (on a GPU, also what fills it, and cells)."""
        return (8 * self.size + 40 * self.repetitions * self.buckets) if self.device.type == "cuda" else 4 * self.size


def encode(
    block: Block,
    planes: Float[np.ndarray, "dim planes"],
    projections: Float[np.ndarray, "R dim d"] | None,
    bits: int,
    fill: bool,
) -> Float[np.ndarray, "texts size"]:
    """MUVERA's encodings of a block: sums of each bucket, or (`fill`) means with empty buckets filled.

    Cost: for each token R * bits * dim multiply-adds (its buckets) and R * dim additions; for each text
    R * 2^bits * dim * d multiply-adds (the projections of its bucket sums).
    """
    texts, dim = len(block.lengths), block.tokens.shape[1]
    repetitions, buckets, offsets = planes.shape[1] // bits, 1 << bits, block.offsets
    width = dim if projections is None else projections.shape[2]
    codes = np.empty((texts, repetitions, buckets * width), dtype=np.float32)

    def some(rows: range) -> None:
        tokens = block.tokens[offsets[rows.start] : offsets[rows.stop]]
        sums = np.empty((repetitions, len(rows) * buckets, dim), dtype=np.float32)
        of_texts = offsets[rows.start : rows.stop + 1] - offsets[rows.start]
        sum_buckets(tokens, tokens @ planes, of_texts, bits, fill, sums)
        projected = sums if projections is None else sums @ projections
        codes[rows.start : rows.stop] = projected.reshape(repetitions, len(rows), -1).transpose(1, 0, 2)

    map_threads(some, chunks(texts, _TEXTS))
    return codes.reshape(texts, -1)


class Muvera(Method):
    """FDEs made and searched block by block, by dot product."""

    title = "MUVERA"
    order = 1
    symbols = {"repetitions": "R", "bits": "k", "projection": "d"}

    def __init__(self, repetitions: int, bits: int, projection: int | None, seed: int) -> None:
        if min(repetitions, bits, 1 if projection is None else projection) < 1 or bits > 16:
            raise HarnessError(
                f"MUVERA with repetitions={repetitions}, bits={bits}, projection={projection}: expected repetitions "
                "and projection of at least 1 (or projection=null) and 1 to 16 bits."
            )
        self.options = (repetitions, bits, projection, seed)

    def search(self, docs: TokenStore, queries: TokenStore, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by F_q . F_d."""
        watch = Stopwatch()
        fde = FixedDimensionalEncoding(docs.dim, *self.options, resources.device)
        token_bytes, row_bytes = 12 * docs.dim + fde.token_bytes, fde.row_bytes + 12 * len(queries)
        with watch.phase("encode_queries"):
            query_codes = [
                torch.cat(
                    [fde.queries(block) for block in part.blocks(token_bytes, fde.row_bytes, resources.block_bytes)]
                ).T.contiguous()
                for part in queries.parts
            ]
        best = resources.top_k(len(queries), min(k, len(docs)))
        with bar("MUVERA", len(docs), resources.show) as progress:
            for block in docs.blocks(token_bytes, row_bytes, resources.block_bytes, TILE):
                with watch.phase("encode_documents"):
                    codes = fde.documents(block)
                with watch.phase("search"):
                    scores = dot_products(query_codes, codes, block)
                    best.add(block.start, scores)
                progress.update(len(block.lengths))
        with watch.phase("search"):
            ranking = best.ranking()
        return SearchResult(ranking, watch.seconds, len(docs) * fde.size * 4, {"code_size": fde.size})

    def buckets(self, dim: int, device: torch.device) -> FixedDimensionalEncoding:
        """The hyperplanes of all repetitions."""
        return FixedDimensionalEncoding(dim, *self.options, device)


def dot_products(
    queries: Sequence[Float[torch.Tensor, "size _"]], documents: Float[torch.Tensor, "docs size"], block: Block
) -> Any:
    """``(documents @ queries).T`` in tiles of documents, float32 [queries of all parts, docs] (numpy, or on the GPU).

    -inf for documents without tokens. BLAS is a quarter faster where the queries' codes are columns.
    """
    if documents.is_cuda:
        scores = torch.cat([(documents @ part).T for part in queries])
        scores[:, torch.from_numpy(block.lengths == 0).to(scores.device)] = -torch.inf
        return scores
    asked, codes = [part.numpy() for part in queries], documents.numpy()
    ends = np.cumsum([part.shape[1] for part in asked])
    result = np.empty((ends[-1], len(codes)), dtype=np.float32)

    def some(rows: range) -> None:
        for part, end in zip(asked, ends, strict=True):
            result[end - part.shape[1] : end, rows.start : rows.stop] = (codes[rows.start : rows.stop] @ part).T

    map_threads(some, _tiles(block))
    result[:, block.lengths == 0] = -np.inf
    return result


def _tiles(block: Block) -> list[range]:
    """The block's rows, cut where a multiple of `TILE` of the corpus's rows is."""
    cuts = [block.start, *range(block.start // TILE * TILE + TILE, block.stop, TILE), block.stop]
    return [range(a - block.start, b - block.start) for a, b in zip(cuts, cuts[1:], strict=False)]
