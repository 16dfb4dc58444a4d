"""SMVE: one sparse vector per text (Spisak and Galovic, TopK blog, March 2026).

w unit anchors a; each token x keeps its k largest (signed) projections a . x:

    query:      C_q[a] = sum  of a . x over its tokens that kept a
    document:   C_d[a] = mean of a . x over its tokens that kept a

The score is the sparse dot product C_q . C_d. With repetitions, independent sets of w anchors are concatenated and each
token keeps k in every set. Anchors (`harness.methods.smve_anchors`) are `gaussian`, `rotation` or `hadamard`; a fast
transform projects on the last. Documents are encoded, inverted and searched in tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.indexes.index import SPARSE, Codes
from harness.methods import smve_anchors as anchor_sets
from harness.methods import smve_cpu, smve_gpu
from harness.methods.method import Method, SearchResult, search_little
from harness.methods.smve_codes import SparseCodes
from harness.methods.smve_cpu import TOKENS
from harness.ranking.resources import Resources
from harness.system.device import twin
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch, bar
from harness.system.threads import chunks
from harness.vectors.store import Block, TokenVectors

_FEW = 1024
"""Anchors that are enough to call every compiled function."""


class SparseEncoding:
    """The anchors of SMVE for one dimension of token vectors, and the encoding itself."""

    def __init__(
        self, dim: int, width: int, keep: int, repetitions: int, anchors: str, seed: int, device: torch.device
    ) -> None:
        make = anchor_sets.KINDS[anchors]
        self.sets = [make(dim, width, np.random.default_rng([seed, r])) for r in range(repetitions)]
        self.width, self.keep, self.repetitions, self.device = width, keep, repetitions, device
        self._implementation: Any = twin(device, smve_cpu, smve_gpu)

    @property
    def size(self) -> int:
        """Length of one code, most of it zeros: repetitions * w."""
        return self.repetitions * self.width

    def queries(self, block: Block) -> Any:
        """Codes of the queries of a block."""
        return self._encode(block, mean=False)

    def documents(self, block: Block) -> Any:
        """Codes of the documents of a block; empty for a document without tokens."""
        return self._encode(block, mean=True)

    def _encode(self, block: Block, mean: bool) -> Any:
        return self._implementation.encode(self, block, mean)

    def kept(self, tokens: np.ndarray) -> tuple[Int[np.ndarray, "tokens kept"], Float[np.ndarray, "tokens kept"]]:
        """The anchors that each token keeps in all sets together, and its projections on them."""
        chosen = np.empty((len(tokens), self.repetitions, self.keep), dtype=np.int32)
        values = np.empty(chosen.shape, dtype=np.float32)
        for piece in chunks(len(tokens), TOKENS):
            part = slice(piece.start, piece.stop)
            for r, anchors in enumerate(self.sets):
                chosen[part, r], values[part, r] = anchors.largest(tokens[part], self.keep)
                chosen[part, r] += r * self.width
        kept = self.repetitions * self.keep
        return chosen.reshape(len(tokens), kept), values.reshape(len(tokens), kept)

    @cached_property
    def halves(self) -> list[smve_gpu.Halves]:
        """The anchors of each set on a GPU."""
        return [smve_gpu.Halves.of_anchors(torch.from_numpy(anchors.matrix.T).to(self.device)) for anchors in self.sets]

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes while its block is encoded and searched, beside its vector."""
        return self._implementation.token_bytes(self.repetitions * self.keep)

    def joined(self, parts: list[Any]) -> Any:
        """The codes of several blocks, one block after the other."""
        return self._implementation.SparseCodes.joined(parts, self.size)

    def index(self, codes: Any) -> Any:
        """The codes of documents, to be searched with the codes of queries."""
        return self._implementation.Index(codes)


class Smve(Method):
    """Sparse codes made and searched block by block."""

    title = "SMVE"
    order = 2
    symbols = {"width": "w", "keep": "k", "repetitions": "R"}
    gives = SPARSE

    def __init__(self, width: int, keep: int, repetitions: int, anchors: str, seed: int) -> None:
        if anchors not in anchor_sets.KINDS or min(keep, repetitions) < 1 or keep > width:
            raise HarnessError(
                f"SMVE with width={width}, keep={keep}, repetitions={repetitions}, anchors={anchors}: expected "
                f"1 <= keep <= width, at least one repetition, and anchors among {', '.join(anchor_sets.KINDS)}."
            )
        self.options = (width, keep, repetitions, anchors, seed)

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by C_q . C_d; documents that share no anchor with a query score 0."""
        watch = Stopwatch(resources.device)
        encoding = SparseEncoding(docs.dim, *self.options, resources.device)
        budget, token_bytes = resources.block_bytes, 12 * docs.dim + encoding.token_bytes
        with watch.phase("encode_queries"):
            blocks = [b for part in queries.parts for b in part.blocks(token_bytes, 0, budget)]
            query_codes = encoding.joined([encoding.queries(block) for block in blocks])
        best = resources.top_k(len(queries), min(k, len(docs)))
        kept = 0
        with bar("SMVE", len(docs), resources.show, device=resources.device) as progress:
            for block in docs.blocks(token_bytes, 12 * len(queries), budget):
                with watch.phase("encode_documents"):
                    codes = encoding.documents(block)
                    index = encoding.index(codes)
                    kept += len(codes.anchors)
                with watch.phase("search"):
                    scores = index.scores(query_codes)
                    scores[:, np.flatnonzero(block.lengths == 0)] = -np.inf
                    best.add(block.start, scores)
                progress.update(len(block.lengths))
        with watch.phase("search"):
            ranking = best.ranking()
        # An inverted index keeps a 4-byte document number and a 4-byte value for each kept number.
        details = {"kept_per_document": kept / max(1, len(docs))}
        return SearchResult(ranking, watch.seconds, kept * 8, details)

    def warm_up(self, dim: int, resources: Resources) -> None:
        """Search two texts, with few anchors: all of them take longer to draw than the search."""
        width, keep, _, anchors, seed = self.options
        search_little(Smve(min(width, _FEW), min(keep, _FEW), 1, anchors, seed), dim, resources)

    def codes(self, docs: TokenVectors, queries: TokenVectors, resources: Resources) -> Codes:
        """The sparse codes."""
        encoding = SparseEncoding(docs.dim, *self.options, resources.device)

        def blocks(texts: TokenVectors) -> Iterator[Block]:
            return texts.blocks(12 * docs.dim + encoding.token_bytes, 0, resources.block_bytes)

        def documents() -> Iterator[SparseCodes]:
            return (encoding.documents(block).cpu().with_numbers() for block in blocks(docs))

        def asked() -> list[SparseCodes]:
            return [
                encoding.joined([encoding.queries(block) for block in blocks(part)]).cpu() for part in queries.parts
            ]

        return Codes(encoding.size, np.flatnonzero(docs.lengths), documents, asked)

    def anchors(self, dim: int, device: torch.device) -> SparseEncoding:
        """The anchors of all repetitions."""
        return SparseEncoding(dim, *self.options, device)
