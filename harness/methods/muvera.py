"""MUVERA: one fixed dimensional encoding (FDE) per text (Dhulipala et al., NeurIPS 2024, arXiv 2405.19504).

Each of R repetitions has k Gaussian hyperplanes h and a projection to d dimensions, S in {-1, +1}^(d x dim) / sqrt(d):

    bucket(x) = sum_j [h_j . x > 0] 2^j               k sign bits, 2^k buckets (SimHash)
    query:      F_q[r, b] = sum of S x over its tokens in bucket b
    document:   F_d[r, b] = mean of S x over its tokens in bucket b;
                an empty bucket takes S x of the token whose bits are nearest in Hamming distance, the first on ties

The FDE is the concatenation, R * 2^k * d numbers; the score is F_q . F_d. Without inner projection S is the identity
and d = dim.

Documents are searched in tiles of 256, a part of a tile as if it were whole, and queries in the stores that they were
stacked from, with one product for each pair of both. So equal documents tie wherever they stand. A score does not
depend, to the last bit, on the available memory, on the number of threads or shards, or on what else is searched at the
same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from harness.indexes.index import VECTORS, Codes
from harness.methods import muvera_cpu, muvera_gpu
from harness.methods.method import Method, SearchResult, search_little
from harness.ranking import products
from harness.ranking.resources import Resources
from harness.system.device import twin
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch, bar
from harness.vectors.store import Block, TokenVectors


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
        self._implementation: Any = twin(device, muvera_cpu, muvera_gpu)
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
        return self._implementation.encode(block, self.planes, self.projections, self.bits, fill)

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes while its block is encoded, beside its vector."""
        return self._implementation.token_bytes(self.repetitions, self.bits, self.width)

    @property
    def row_bytes(self) -> int:
        """Bytes that one text takes while its block is encoded."""
        return self._implementation.row_bytes(self.size, self.repetitions * self.buckets)

    def dot_products(self, queries: Sequence[Float[torch.Tensor, "size _"]], documents: Any, block: Block) -> Any:
        """Scores [queries of all parts, docs] of queries' FDEs, as columns, with the FDEs of a block of documents."""
        return self._implementation.dot_products(queries, documents, block)


class Muvera(Method):
    """FDEs made and searched block by block, by dot product."""

    title = "MUVERA"
    order = 1
    gives = VECTORS

    def __init__(self, repetitions: int, bits: int, projection: int | None, seed: int) -> None:
        if min(repetitions, bits, 1 if projection is None else projection) < 1 or bits > 16:
            raise HarnessError(
                f"MUVERA with repetitions={repetitions}, bits={bits}, projection={projection}: expected repetitions "
                "and projection of at least 1 (or projection=null) and 1 to 16 bits."
            )
        self.options = (repetitions, bits, projection, seed)

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by F_q . F_d."""
        watch = Stopwatch(resources.device)
        fde = FixedDimensionalEncoding(docs.dim, *self.options, resources.device)
        token_bytes, row_bytes = 12 * docs.dim + fde.token_bytes, fde.row_bytes + 12 * len(queries)
        with watch.phase("encode_queries"):
            query_codes = [part.T.contiguous() for part in _of_queries(fde, queries, resources)]
        best = resources.top_k(len(queries), min(k, len(docs)))
        with bar("MUVERA", len(docs), resources.show, device=resources.device) as progress:
            for block in docs.blocks(token_bytes, row_bytes, resources.block_bytes, products.TILE):
                with watch.phase("encode_documents"):
                    codes = fde.documents(block)
                with watch.phase("search"):
                    scores = fde.dot_products(query_codes, codes, block)
                    best.add(block.start, scores)
                progress.update(len(block.lengths))
        with watch.phase("search"):
            ranking = best.ranking()
        return SearchResult(ranking, watch.seconds, len(docs) * fde.size * 4, {"code_size": fde.size})

    def warm_up(self, dim: int, resources: Resources) -> None:
        """Search two texts."""
        search_little(self, dim, resources)

    def codes(self, docs: TokenVectors, queries: TokenVectors, resources: Resources) -> Codes:
        """The FDEs."""
        fde = FixedDimensionalEncoding(docs.dim, *self.options, resources.device)

        def encode(some: TokenVectors) -> Iterator[Float[np.ndarray, "block size"]]:
            token_bytes = 12 * docs.dim + fde.token_bytes
            for block in some.blocks(token_bytes, fde.row_bytes, resources.block_bytes, products.TILE):
                yield fde.documents(block).cpu().numpy()

        def asked() -> list[Float[np.ndarray, "rows size"]]:
            return [part.cpu().numpy() for part in _of_queries(fde, queries, resources)]

        return Codes.of_tokens(fde.size, docs, encode, asked)

    def buckets(self, dim: int, device: torch.device) -> FixedDimensionalEncoding:
        """The hyperplanes of all repetitions."""
        return FixedDimensionalEncoding(dim, *self.options, device)


def _of_queries(
    fde: FixedDimensionalEncoding, queries: TokenVectors, resources: Resources
) -> list[Float[torch.Tensor, "rows size"]]:
    """FDEs of the queries of each part."""
    token_bytes, budget = 12 * queries.dim + fde.token_bytes, resources.block_bytes
    return [
        torch.cat([fde.queries(block) for block in part.blocks(token_bytes, fde.row_bytes, budget)])
        for part in queries.parts
    ]
