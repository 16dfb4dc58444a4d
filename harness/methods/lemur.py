"""LEMUR in closed form (Jääsaari, Hyvönen and Roos, ICML 2026, arXiv 2601.21853): regress MaxSim on random features.

A token x has m features, with G [dim, m] of independent normal numbers:

    psi(x) = layer norm(gelu(x G))          mean 0 and variance 1 over the m features
    query:      F_q = sum of psi(x) over its tokens
    document:   F_d = argmin over w of  sum over s of (psi(s) . w - (max_j s . d_j - a) / b)^2

for n learning tokens s, where a and b are the mean and the standard deviation of the targets max_j s . d_j. The score
is F_q . F_d: up to a and b, which are the same for all documents, an estimate of MaxSim. All documents have the same
features, so one pseudo-inverse of psi(s)^T psi(s) serves all. The authors' neural network (their MLP) is not here.

Documents are solved and searched in tiles of 256, as MUVERA's (`harness.methods.muvera`), for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from harness.indexes.index import VECTORS, Codes
from harness.methods.method import Method, SearchResult
from harness.ranking import maxsim
from harness.ranking.resources import Resources
from harness.system.device import twin
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch, bar
from harness.system.threads import chunks, map_threads
from harness.vectors.store import StoreInMemory, TokenVectors

LEARN = ("documents", "pseudo_queries", "queries")
TILE = 256  # documents in one product
_TARGETS_OF = 256  # documents, evenly spaced, whose targets give a and b
_EPSILON = float(np.finfo(np.float32).eps)


class Lemur(Method):
    """Document vectors by one least-squares solve, searched by dot product."""

    title = "LEMUR"
    order = 4
    gives = VECTORS
    shardable = False  # it learns from the tokens of the whole corpus
    symbols = {"features": "m", "learn_tokens": "n"}

    def __init__(self, features: int, learn: str, learn_tokens: int, seed: int) -> None:
        if min(features, learn_tokens) < 1 or learn not in LEARN:
            raise HarnessError(
                f"LEMUR with features={features}, learn={learn}, learn_tokens={learn_tokens}: expected at least one "
                f"feature and learning token, and learn among {', '.join(LEARN)}."
            )
        self.features, self.learn, self.learn_tokens, self.seed = features, learn, learn_tokens, seed
        self.teachers: TokenVectors | None = None

    def taught(self, queries: TokenVectors) -> Lemur:
        """The same with queries whose tokens it learns from."""
        other = copy(self)
        other.teachers = queries
        return other

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by F_q . F_d."""
        watch, device = Stopwatch(resources.device), resources.device
        weights, learning = self._drawn(docs, resources)
        of_scores: Any = twin(device, np.asarray, torch.as_tensor)
        best = resources.top_k(len(queries), min(k, len(docs)))
        with watch.phase("encode_queries"):
            asked = [_summed(part, weights, resources) for part in queries.parts]
        with watch.phase("encode_documents"):
            solve, (mean, deviation) = self._solver(learning, weights), _standard(docs, learning, resources)
            empty = docs.lengths == 0

        def score_tile(targets: torch.Tensor, rows: range) -> torch.Tensor:
            vectors = solve @ ((targets[:, rows.start : rows.stop] - mean) / deviation)
            return torch.cat([part @ vectors for part in asked])

        def take(first: int, targets: Any) -> None:
            """Vectors of a block of documents from their targets [n, docs], and their scores."""
            with watch.phase("search"):
                known = torch.as_tensor(targets, device=device)
                scores = torch.cat(map_threads(partial(score_tile, known), chunks(known.shape[1], TILE)), dim=1)
                scores[:, torch.from_numpy(empty[first : first + scores.shape[1]])] = -torch.inf
                best.add(first, of_scores(scores))

        with bar("LEMUR", len(docs), resources.show, device=device) as progress, watch.phase("encode_documents"):
            maxsim.token_scores(learning, docs, resources.block_bytes, device, take, progress.update, TILE)
        ranking = best.ranking()
        seconds = {**watch.seconds, "encode_documents": watch.seconds["encode_documents"] - watch.seconds["search"]}
        return SearchResult(ranking, seconds, len(docs) * self.features * 4, {"learning_tokens": len(learning)})

    def codes(self, docs: TokenVectors, queries: TokenVectors, resources: Resources) -> Codes:
        """F_q and F_d."""
        weights, learning = self._drawn(docs, resources)

        def encode(some: TokenVectors) -> Iterator[Float[np.ndarray, "block features"]]:
            solve, (mean, deviation) = self._solver(learning, weights), _standard(docs, learning, resources)
            for block in some.blocks(12 * docs.dim, 8 * (len(learning) + self.features), resources.block_bytes, TILE):
                found: list[Any] = []
                texts = StoreInMemory(block.tokens, block.lengths)
                take = partial(lambda to, _, targets: to.append(torch.as_tensor(targets)), found)
                maxsim.token_scores(learning, texts, resources.block_bytes, resources.device, take)
                yield (solve @ ((torch.cat(found, dim=1) - mean) / deviation)).T.contiguous().cpu().numpy()

        def asked() -> list[Float[np.ndarray, "queries features"]]:
            return [_summed(part, weights, resources).cpu().numpy() for part in queries.parts]

        return Codes.of_tokens(self.features, docs, encode, asked)

    def _drawn(
        self, docs: TokenVectors, resources: Resources
    ) -> tuple[Float[torch.Tensor, "dim features"], TokenVectors]:
        """G, and the learning tokens."""
        rng = np.random.default_rng(self.seed)
        weights = torch.from_numpy(rng.standard_normal((docs.dim, self.features), dtype=np.float32))
        learning = _sample(docs if self.teachers is None else self.teachers, self.learn_tokens, rng)
        return weights.to(resources.device), learning

    def _solver(self, learning: TokenVectors, weights: torch.Tensor) -> Float[torch.Tensor, "features n"]:
        """What turns the targets of a document into its vector: the pseudo-inverse of the learning tokens' features."""
        known = _features(torch.from_numpy(learning.rows(0, len(learning)).tokens).to(weights.device), weights).double()
        values, axes = torch.linalg.eigh(known.T @ known)
        # Singular values below this share of the greatest are rounding (as numpy's `lstsq` has it).
        kept = values > values.max() * (_EPSILON * max(known.shape)) ** 2
        return ((axes[:, kept] / values[kept]) @ (axes[:, kept].T @ known.T)).float()


def _standard(docs: TokenVectors, learning: TokenVectors, resources: Resources) -> tuple[float, float]:
    """A and b: the mean and the standard deviation of targets, of at most `_TARGETS_OF` documents, evenly spaced."""
    rows = np.flatnonzero(docs.lengths)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _TARGETS_OF)).astype(np.int64)]
    some = StoreInMemory(np.concatenate([docs[row] for row in rows.tolist()]), docs.lengths[rows])
    found: list[Any] = []
    maxsim.token_scores(learning, some, resources.block_bytes, resources.device, lambda _, scores: found.append(scores))
    targets = np.concatenate([np.asarray(torch.as_tensor(part).cpu()) for part in found], axis=1, dtype=np.float64)
    return float(targets.mean()), float(targets.std()) or 1.0


def _sample(store: TokenVectors, count: int, rng: np.random.Generator) -> TokenVectors:
    """Distinct token vectors drawn at random, all if there are fewer, each as a text of its own."""
    total = int(store.offsets[-1])
    chosen = np.sort(rng.choice(total, min(count, total), replace=False))
    row_of = np.searchsorted(store.offsets, chosen, side="right") - 1
    parts = [store[int(row)][chosen[row_of == row] - store.offsets[row]] for row in np.unique(row_of)]
    return StoreInMemory(np.concatenate(parts), np.ones(len(chosen), dtype=np.int64))


def _features(tokens: Float[torch.Tensor, "n dim"], weights: torch.Tensor) -> Float[torch.Tensor, "n features"]:
    """Psi of each token."""
    return torch.nn.functional.layer_norm(torch.nn.functional.gelu(tokens @ weights), (weights.shape[1],))


def _summed(
    queries: TokenVectors, weights: torch.Tensor, resources: Resources
) -> Float[torch.Tensor, "queries features"]:
    """F_q of each query."""
    found = []
    for block in queries.blocks(4 * sum(weights.shape), 4 * weights.shape[1], resources.block_bytes):
        features = _features(torch.from_numpy(block.tokens).to(weights.device), weights)
        lengths = torch.from_numpy(block.lengths).to(weights.device)
        found.append(torch.segment_reduce(features, "sum", lengths=lengths, axis=0, unsafe=True))
    return torch.cat(found)
