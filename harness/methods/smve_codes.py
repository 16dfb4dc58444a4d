"""SMVE's codes, sparse vectors of texts, and the inverted index over those of documents (`harness.methods.smve`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from harness.kernels.postings import invert, score_postings
from harness.system.threads import chunks, map_threads

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

    def cpu(self) -> SparseCodes:
        """The same in NumPy, as its twin for a GPU has it."""
        return self

    def with_numbers(self) -> SparseCodes:
        """The codes that are not empty."""
        counts = np.diff(self.ends)
        return SparseCodes(np.concatenate([[0], np.cumsum(counts[counts > 0])]), self.anchors, self.weights, self.size)

    def dense(self) -> Float[np.ndarray, "texts size"]:
        """The same as rows with zeros."""
        rows = np.zeros((len(self), self.size), dtype=np.float32)
        rows[np.repeat(np.arange(len(self)), np.diff(self.ends)), self.anchors] = self.weights
        return rows


class InvertedIndex:
    """Postings by anchor, in tiles of documents: each (starts [size + 1], documents [numbers], weights [numbers])."""

    def __init__(self, codes: SparseCodes) -> None:
        self.documents = len(codes)

        def invert_rows(rows: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            first, last = codes.ends[rows.start], codes.ends[rows.stop]
            starts = np.empty(codes.size + 1, dtype=np.int64)
            texts, posted = np.empty(last - first, np.uint16), np.empty(last - first, np.float32)
            ends = codes.ends[rows.start : rows.stop + 1] - first
            invert(ends, codes.anchors[first:last], codes.weights[first:last], starts, texts, posted)
            return starts, texts, posted

        self.tiles = map_threads(invert_rows, chunks(self.documents, _TILE))

    def scores(self, queries: SparseCodes) -> Float[np.ndarray, "queries docs"]:
        """Dot products of all queries with all documents."""
        scores = np.empty((len(queries), self.documents), dtype=np.float32)

        def score_tile(work: tuple[int, range]) -> None:
            tile, asked = work
            documents = slice(tile * _TILE, min((tile + 1) * _TILE, self.documents))
            part = np.empty((len(asked), documents.stop - documents.start), dtype=np.float32)
            score_postings(
                queries.ends, queries.anchors, queries.weights, *self.tiles[tile], asked.start, asked.stop, part
            )
            scores[asked.start : asked.stop, documents] = part

        tiles = range(len(self.tiles))
        map_threads(score_tile, [(tile, asked) for tile in tiles for asked in chunks(len(queries), _QUERIES)])
        return scores
