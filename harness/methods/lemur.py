"""LEMUR in closed form (Jääsaari, Hyvönen and Roos, ICML 2026, arXiv 2601.21853): regress MaxSim on random features.

A token x has m features, with G [dim, m] of independent normal numbers:

    psi(x) = layer norm(gelu(x G))          mean 0 and variance 1 over the m features
    query:      F_q = sum of psi(x) over its tokens
    document:   F_d = argmin over w of  sum over s of (psi(s) . w - (max_j s . d_j - a) / b)^2

for n learning tokens s, where a and b are the mean and the standard deviation of the targets max_j s . d_j. The score
is F_q . F_d: up to a and b, which are the same for all documents, an estimate of MaxSim. All documents have the same
features, so one pseudo-inverse of psi(s)^T psi(s) serves all. The authors' neural network (their MLP) is not here.

Documents are solved and searched in tiles (`harness.ranking.products`), as MUVERA's are, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from harness.indexes.index import VECTORS, Codes
from harness.methods.method import DOCUMENTS, Method, SearchResult
from harness.ranking import maxsim, products
from harness.ranking.resources import Resources
from harness.system.device import twin
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch, bar
from harness.system.threads import chunks, map_threads, tiles
from harness.vectors.store import StoreInMemory, TokenVectors

LEARN = ("documents", "pseudo_queries", "queries")
_SHARED = 2  # times the learning tokens: the most tokens of texts that draws share a pass over
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
        if features < 2 or learn_tokens < 1 or learn not in LEARN:  # layer norm makes a single feature 0
            raise HarnessError(
                f"LEMUR with features={features}, learn={learn}, learn_tokens={learn_tokens}: expected at least two "
                f"features and one learning token, and learn among {', '.join(LEARN)}."
            )
        self.features, self.learn, self.learn_tokens, self.seed = features, learn, learn_tokens, seed
        self.draws_share = learn != DOCUMENTS  # queries have few tokens, which one pass can hold
        self.teachers: TokenVectors | None = None

    def taught(self, queries: TokenVectors) -> Lemur:
        """The same with queries whose tokens it learns from."""
        other = copy(self)
        other.teachers = queries
        return other

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by F_q . F_d."""
        return next(self.search_draws([(self, queries)], docs, k, resources))

    @classmethod
    def search_draws(
        cls, draws: Sequence[tuple[Any, TokenVectors]], docs: TokenVectors, k: int, resources: Resources
    ) -> Iterator[SearchResult]:
        """The same for each draw; draws that learn from the tokens of few texts share one pass over the documents.

        They do so where the texts have at most twice as many tokens as each draw learns from: the pass is then of all
        of them. A single draw does the same. So its result is the same, to the last bit, whichever draws it is searched
        with.
        """
        method = draws[0][0]
        teachers = method._teachers(docs)
        total = int(teachers.offsets[-1])
        drawn = [(queries, *one._drawn(docs, resources.device)) for one, queries in draws]
        if total > _SHARED * method.learn_tokens:
            for queries, weights, tokens in drawn:
                alone = [(queries, weights, np.arange(len(tokens)))]
                yield from _one_pass(alone, _tokens(teachers, tokens), docs, k, resources)
            return
        learning = _tokens(teachers, np.arange(total))
        queries, weights, tokens = drawn[0]
        held = 4 * weights.shape[1] * (len(tokens) + len(queries))  # by a draw, while the documents pass by
        for rows in chunks(len(drawn), max(1, resources.block_bytes // (2 * held))):
            yield from _one_pass([drawn[row] for row in rows], learning, docs, k, resources)

    def codes(self, docs: TokenVectors, queries: TokenVectors, resources: Resources) -> Codes:
        """F_q and F_d, turned and scaled so that an index may round them (`_balanced`)."""
        weights, chosen = self._drawn(docs, resources.device)
        learning = _tokens(self._teachers(docs), chosen)
        of_documents, of_queries = _balanced(learning, weights)

        def encode(some: TokenVectors) -> Iterator[Float[np.ndarray, "block features"]]:
            solve, (mean, deviation) = _solver(learning, weights), _standard(_sample(docs, learning, resources))
            row_bytes = 8 * (len(learning) + self.features)
            for block in some.blocks(12 * docs.dim, row_bytes, resources.block_bytes, products.TILE):
                targets = _targets(learning, StoreInMemory(block.tokens, block.lengths), resources)
                yield ((solve @ ((targets - mean) / deviation)).T @ of_documents).cpu().numpy()

        def asked() -> list[Float[np.ndarray, "queries features"]]:
            return [(_summed(part, weights, resources) @ of_queries).cpu().numpy() for part in queries.parts]

        return Codes.of_tokens(self.features, docs, encode, asked)

    def _drawn(
        self, docs: TokenVectors, device: torch.device
    ) -> tuple[Float[torch.Tensor, "dim features"], Int[np.ndarray, " n"]]:
        """G, and the numbers of the learning tokens among those of the teachers, ascending."""
        rng = np.random.default_rng(self.seed)
        weights = torch.from_numpy(rng.standard_normal((docs.dim, self.features), dtype=np.float32))
        total = int(self._teachers(docs).offsets[-1])
        return weights.to(device), np.sort(rng.choice(total, min(self.learn_tokens, total), replace=False))

    def _teachers(self, docs: TokenVectors) -> TokenVectors:
        """The texts whose tokens it learns from."""
        return docs if self.teachers is None else self.teachers


def _one_pass(
    draws: Sequence[tuple[TokenVectors, torch.Tensor, np.ndarray]],
    learning: TokenVectors,
    docs: TokenVectors,
    k: int,
    resources: Resources,
) -> list[SearchResult]:
    """A search for each draw, given its queries, G, and which of `learning` it learns from."""
    watch, empty = Stopwatch(resources.device), torch.from_numpy(docs.lengths == 0)
    with watch.phase("targets"):
        sample = _sample(docs, learning, resources)
    searches = [_Search(*draw, learning, sample, min(k, len(docs)), resources) for draw in draws]

    def take(first: int, found: Any) -> None:
        with watch.phase("products"):  # of a GPU, which are done at the end of a phase
            targets = torch.as_tensor(found, device=resources.device)
        with watch.phase("searches"):
            for search in searches:
                search.add(first, targets, empty[first : first + targets.shape[1]])

    with bar("LEMUR", len(docs), resources.show, device=resources.device) as progress, watch.phase("targets"):
        maxsim.token_scores(
            learning, docs, resources.block_bytes, resources.device, take, progress.update, products.TILE
        )
    alone = watch.seconds["targets"] - watch.seconds.get("searches", 0.0)
    return [search.result(len(docs), alone) for search in searches]


class _Search:
    """The search of one draw, block by block of the documents' targets.

    Parameters
    ----------
    tokens
        The numbers of its learning tokens among `learning`.
    sample
        Targets of `learning` and of some documents, from which a and b come.
    """

    def __init__(
        self,
        queries: TokenVectors,
        weights: Float[torch.Tensor, "dim features"],
        tokens: Int[np.ndarray, " n"],
        learning: TokenVectors,
        sample: Float[torch.Tensor, "all_tokens docs"],
        k: int,
        resources: Resources,
    ) -> None:
        self.watch, self.best = Stopwatch(resources.device), resources.top_k(len(queries), k)
        self.of_scores: Any = twin(resources.device, np.asarray, torch.as_tensor)
        self.tokens: Any = torch.from_numpy(tokens).to(sample.device) if len(tokens) < len(learning) else slice(None)
        self.mean, self.deviation = _standard(sample[self.tokens])
        with self.watch.phase("encode_queries"):
            self.queries = [_summed(part, weights, resources) for part in queries.parts]
        with self.watch.phase("encode_documents"):
            self.solve = _solver(_tokens(learning, tokens), weights)

    def add(
        self, first: int, targets: Float[torch.Tensor, "all_tokens docs"], empty: Bool[torch.Tensor, " docs"]
    ) -> None:
        """Vectors of a block of documents from their targets, and their scores."""

        def encode_tile(rows: range) -> tuple[torch.Tensor, slice]:
            own, place = targets[:, rows.start : rows.stop][self.tokens], (first + rows.start) % products.TILE
            if len(rows) < products.TILE:  # as in `products.tiled`
                own = torch.nn.functional.pad(own, (place, products.TILE - place - len(rows)))
            return self.solve @ ((own - self.mean) / self.deviation), slice(place, place + len(rows))

        def score_tile(tile: tuple[torch.Tensor, slice]) -> torch.Tensor:
            vectors, filled = tile
            return torch.cat([part @ vectors for part in self.queries])[:, filled]

        with self.watch.phase("encode_documents"):
            encoded = map_threads(encode_tile, tiles(first, targets.shape[1], products.TILE))
        with self.watch.phase("search"):
            scores = torch.cat(map_threads(score_tile, encoded), dim=1)
            scores[:, empty] = -torch.inf
            self.best.add(first, self.of_scores(scores))

    def result(self, documents: int, target_seconds: float) -> SearchResult:
        """The result; its seconds are those of a search for this draw alone."""
        seconds = {**self.watch.seconds}
        seconds["encode_documents"] += target_seconds
        index_bytes = documents * len(self.solve) * 4
        return SearchResult(self.best.ranking(), seconds, index_bytes, {"learning_tokens": self.solve.shape[1]})


def _solver(learning: TokenVectors, weights: Float[torch.Tensor, "dim features"]) -> Float[torch.Tensor, "features n"]:
    """What turns the targets of a document into its vector: the pseudo-inverse of the learning tokens' features."""
    known = _features(torch.from_numpy(learning.rows(0, len(learning)).tokens).to(weights.device), weights).double()
    short = known if len(known) < known.shape[1] else known.T  # the smaller of its two Gram matrices will do
    values, axes = torch.linalg.eigh(short @ short.T)
    kept = _beyond_rounding(values, known)
    inverse = (axes[:, kept] / values[kept]) @ (axes[:, kept].T @ short)
    return (inverse.T if short is known else inverse).float()


def _beyond_rounding(squares: Float[torch.Tensor, " axes"], known: torch.Tensor) -> Bool[torch.Tensor, " axes"]:
    """Which squared singular values of a matrix are not rounding: the share of the greatest is numpy's in `lstsq`."""
    return squares > squares.max() * (_EPSILON * max(known.shape)) ** 2


def _balanced(
    learning: TokenVectors, weights: Float[torch.Tensor, "dim features"]
) -> tuple[Float[torch.Tensor, "features features"], Float[torch.Tensor, "features features"]]:
    """What documents' and queries' vectors are multiplied with for an index; inner products stay the same.

    An index rounds a vector in proportion to its length. F_d is longest where the features of the learning tokens
    hardly vary, as its solve is nearly free there, and a query's vector is next to nothing. So the axes of the index
    are those of the learning tokens' features; a document's numbers are multiplied by the root mean square of each, and
    a query's are divided by it. Then an error in any number changes a score as much.
    """
    known = _features(torch.from_numpy(learning.rows(0, len(learning)).tokens).to(weights.device), weights).double()
    squares, axes = torch.linalg.eigh(known.T @ known / len(known))
    kept = _beyond_rounding(squares, known)
    root = squares.clamp(min=0).sqrt()
    return (axes * root).float(), (axes * torch.where(kept, 1 / root, 0.0)).float()


def _targets(learning: TokenVectors, docs: TokenVectors, resources: Resources) -> Float[torch.Tensor, "n docs"]:
    """max_j s . d_j of each learning token s and document d."""
    found: list[Any] = []
    maxsim.token_scores(
        learning, docs, resources.block_bytes, resources.device, lambda _, scores: found.append(torch.as_tensor(scores))
    )
    return torch.cat(found, dim=1)


def _sample(docs: TokenVectors, learning: TokenVectors, resources: Resources) -> Float[torch.Tensor, "n docs"]:
    """The targets of at most `_TARGETS_OF` documents, evenly spaced."""
    rows = np.flatnonzero(docs.lengths)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _TARGETS_OF)).astype(np.int64)]
    some = StoreInMemory(np.concatenate([docs[row] for row in rows.tolist()]), docs.lengths[rows])
    return _targets(learning, some, resources)


def _standard(sample: Float[torch.Tensor, "n docs"]) -> tuple[float, float]:
    """A and b: the mean and the standard deviation of these targets."""
    targets = sample.double()
    return float(targets.mean()), float(targets.std(correction=0)) or 1.0


def _tokens(store: TokenVectors, chosen: Int[np.ndarray, " n"]) -> TokenVectors:
    """Some of the token vectors, each as a text of its own."""
    row_of = np.searchsorted(store.offsets, chosen, side="right") - 1
    rows, first = np.unique(row_of, return_index=True)
    of_row = np.split(chosen - store.offsets[row_of], first[1:])
    parts = [store[row][some] for row, some in zip(rows.tolist(), of_row, strict=True)]
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
