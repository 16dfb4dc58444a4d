"""SMVE: one sparse vector per text (Spisak and Galovic, TopK blog, March 2026).

w unit anchors a; each token x keeps its k largest (signed) projections a . x:

    query:      C_q[a] = sum  of a . x over its tokens that kept a
    document:   C_d[a] = mean of a . x over its tokens that kept a

The score is the sparse dot product C_q . C_d. With repetitions, independent sets of w anchors are concatenated and each
token keeps k in every set. Anchors (`harness.methods.smve_anchors`) are `gaussian`, `rotation` or `hadamard`; the last are projected
on without any product. Documents are encoded, inverted and searched in tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.kernels.postings import invert, score_postings, sum_anchors
from harness.methods import smve_anchors as anchor_sets
from harness.methods import smve_gpu
from harness.methods.method import Method, SearchResult
from harness.ranking.resources import Resources
from harness.ranking.topk import RunningTopK
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch, bar
from harness.system.threads import chunks, map_threads
from harness.vectors.store import Block, TokenStore

_TOKENS = 256  # projected at once by one thread
_TILE = 4096  # documents of one inverted index: their numbers take 2 bytes, a query's scores stay in the cache
_QUERIES = 64  # scored at once by one thread


@dataclass(frozen=True)
class SparseCodes:
    """Codes of some texts: text i has ``weights[ends[i]:ends[i + 1]]`` at ``anchors[ends[i]:ends[i + 1]]``."""

    ends: Int[np.ndarray, " texts_1"]
    anchors: Int[np.ndarray, " numbers"]
    weights: Float[np.ndarray, " numbers"]
    size: int

    def __len__(self) -> int:
        return len(self.ends) - 1

    @classmethod
    def joined(cls, parts: list[SparseCodes], size: int) -> SparseCodes:
        """The codes of all parts, one part after the other."""
        lengths = np.concatenate([np.diff(part.ends) for part in parts] or [np.empty(0, np.int64)])
        ends = np.concatenate([[0], np.cumsum(lengths)])
        anchors = np.concatenate([part.anchors for part in parts] or [np.empty(0, np.int32)])
        return cls(ends, anchors, np.concatenate([part.weights for part in parts] or [np.empty(0, np.float32)]), size)

    def dense(self) -> Float[np.ndarray, "texts size"]:
        """The same as rows with zeros."""
        rows = np.zeros((len(self), self.size), dtype=np.float32)
        rows[np.repeat(np.arange(len(self)), np.diff(self.ends)), self.anchors] = self.weights
        return rows


class InvertedIndex:
    """Postings by anchor, in tiles of documents: each (starts [size + 1], documents [numbers], weights [numbers])."""

    def __init__(self, codes: SparseCodes) -> None:
        self.documents = len(codes)

        def some(rows: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            first, last = codes.ends[rows.start], codes.ends[rows.stop]
            starts = np.empty(codes.size + 1, dtype=np.int64)
            texts, posted = np.empty(last - first, np.uint16), np.empty(last - first, np.float32)
            ends = codes.ends[rows.start : rows.stop + 1] - first
            invert(ends, codes.anchors[first:last], codes.weights[first:last], starts, texts, posted)
            return starts, texts, posted

        self.tiles = map_threads(some, chunks(self.documents, _TILE))

    def scores(self, queries: SparseCodes) -> Float[np.ndarray, "queries docs"]:
        """Dot products of all queries with all documents."""
        scores = np.empty((len(queries), self.documents), dtype=np.float32)

        def some(work: tuple[int, range]) -> None:
            tile, asked = work
            documents = slice(tile * _TILE, min((tile + 1) * _TILE, self.documents))
            part = np.empty((len(asked), documents.stop - documents.start), dtype=np.float32)
            score_postings(
                queries.ends, queries.anchors, queries.weights, *self.tiles[tile], asked.start, asked.stop, part
            )
            scores[asked.start : asked.stop, documents] = part

        tiles = range(len(self.tiles))
        map_threads(some, [(tile, asked) for tile in tiles for asked in chunks(len(queries), _QUERIES)])
        return scores


class SparseEncoding:
    """The anchors of SMVE for one dimension of token vectors, and the encoding itself."""

    def __init__(
        self, dim: int, width: int, keep: int, repetitions: int, anchors: str, seed: int, device: torch.device
    ) -> None:
        make = anchor_sets.KINDS[anchors]
        self.sets = [make(dim, width, np.random.default_rng([seed, r])) for r in range(repetitions)]
        self.width, self.keep, self.repetitions, self.device = width, keep, repetitions, device

    @property
    def size(self) -> int:
        """Length of one code, most of it zeros: repetitions * w."""
        return self.repetitions * self.width

    def queries(self, block: Block) -> SparseCodes:
        """Codes of the queries of a block."""
        return self._encode(block, mean=False)

    def documents(self, block: Block) -> SparseCodes:
        """Codes of the documents of a block; empty for a document without tokens."""
        return self._encode(block, mean=True)

    def _encode(self, block: Block, mean: bool) -> SparseCodes:
        if self.device.type == "cuda":
            return self._on_gpu(block, mean)
        offsets = block.offsets

        def some(rows: range) -> SparseCodes:
            tokens = block.tokens[offsets[rows.start] : offsets[rows.stop]]
            chosen, values = self.kept(tokens)
            sums, counts = np.zeros(self.size, np.float32), np.zeros(self.size, np.int32)
            ends = np.empty(len(rows) + 1, np.int64)
            anchors, weights = np.empty(chosen.size, np.int32), np.empty(chosen.size, np.float32)
            of_texts = offsets[rows.start : rows.stop + 1] - offsets[rows.start]
            sum_anchors(chosen, values, of_texts, mean, sums, counts, ends, anchors, weights)
            return SparseCodes(ends, anchors[: ends[-1]].copy(), weights[: ends[-1]].copy(), self.size)

        texts_at_once = max(1, 4 * _TOKENS * len(block.lengths) // max(1, len(block.tokens)))
        return SparseCodes.joined(map_threads(some, chunks(len(block.lengths), texts_at_once)), self.size)

    def kept(self, tokens: np.ndarray) -> tuple[Int[np.ndarray, "tokens kept"], Float[np.ndarray, "tokens kept"]]:
        """The anchors that each token keeps in all sets together, and its projections on them."""
        chosen = np.empty((len(tokens), self.repetitions, self.keep), dtype=np.int32)
        values = np.empty(chosen.shape, dtype=np.float32)
        for piece in chunks(len(tokens), _TOKENS):
            some = slice(piece.start, piece.stop)
            for r, anchors in enumerate(self.sets):
                chosen[some, r], values[some, r] = anchors.largest(tokens[some], self.keep)
                chosen[some, r] += r * self.width
        kept = self.repetitions * self.keep
        return chosen.reshape(len(tokens), kept), values.reshape(len(tokens), kept)

    def _on_gpu(self, block: Block, mean: bool) -> SparseCodes:
        tokens, kept = torch.from_numpy(block.tokens).to(self.device), []
        for r, anchors in enumerate(self.sets):
            values, chosen = smve_gpu.largest_projections(
                tokens, torch.from_numpy(anchors.matrix).to(self.device), self.keep
            )
            kept.append((values, chosen + r * self.width))
        values, chosen = (torch.cat(parts, dim=1) for parts in zip(*kept, strict=True))
        sums, counts = smve_gpu.sparse_codes(values, chosen, block.lengths, self.size)
        rows, places = torch.nonzero(counts, as_tuple=True)
        weights = (sums / counts.clamp(min=1) if mean else sums)[rows, places]
        lengths = torch.bincount(rows, minlength=len(block.lengths)).cpu().numpy()
        ends = np.concatenate([[0], np.cumsum(lengths)])
        return SparseCodes(ends, places.int().cpu().numpy(), weights.cpu().numpy(), self.size)

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes while its block is encoded and searched, beside its vector: its kept projections.

        As a code and inverted, at most two times 8 bytes for each, and as much while parts are joined.
        """
        on_gpu = 8 * self.size if self.device.type == "cuda" else 0
        return 32 * self.repetitions * self.keep + on_gpu

    @property
    def row_bytes(self) -> int:
        """Bytes that one text takes while its block is encoded: on a GPU its dense sums and counts."""
        return 16 * self.size if self.device.type == "cuda" else 0


class Smve(Method):
    """Sparse codes made and searched block by block."""

    title = "SMVE"
    order = 2
    symbols = {"width": "w", "keep": "k", "repetitions": "R"}

    def __init__(self, width: int, keep: int, repetitions: int, anchors: str, seed: int) -> None:
        if anchors not in anchor_sets.KINDS or min(keep, repetitions) < 1 or keep > width:
            raise HarnessError(
                f"SMVE with width={width}, keep={keep}, repetitions={repetitions}, anchors={anchors}: expected "
                f"1 <= keep <= width, at least one repetition, and anchors among {', '.join(anchor_sets.KINDS)}."
            )
        self.options = (width, keep, repetitions, anchors, seed)

    def search(self, docs: TokenStore, queries: TokenStore, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by C_q . C_d; documents that share no anchor with a query score 0."""
        watch = Stopwatch()
        encoding = SparseEncoding(docs.dim, *self.options, resources.device)
        budget, token_bytes = resources.block_bytes, 12 * docs.dim + encoding.token_bytes
        with watch.phase("encode_queries"):
            blocks = [b for part in queries.parts for b in part.blocks(token_bytes, encoding.row_bytes, budget)]
            query_codes = SparseCodes.joined([encoding.queries(block) for block in blocks], encoding.size)
        best = RunningTopK(len(queries), min(k, len(docs)))
        kept = 0
        with bar("SMVE", len(docs), resources.show) as progress:
            for block in docs.blocks(token_bytes, encoding.row_bytes + 12 * len(queries), budget):
                with watch.phase("encode_documents"):
                    codes = encoding.documents(block)
                    index = InvertedIndex(codes)
                    kept += len(codes.anchors)
                with watch.phase("search"):
                    scores = index.scores(query_codes)
                    scores[:, block.lengths == 0] = -np.inf
                    best.add(block.start, scores)
                progress.update(len(block.lengths))
        with watch.phase("search"):
            ranking = best.ranking()
        # An inverted index keeps a 4-byte document number and a 4-byte value for each kept number.
        details = {"kept_per_document": kept / max(1, len(docs))}
        return SearchResult(ranking, watch.seconds, kept * 8, details)

    def anchors(self, dim: int, device: torch.device) -> SparseEncoding:
        """The anchors of all repetitions."""
        return SparseEncoding(dim, *self.options, device)
