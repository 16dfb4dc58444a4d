"""How evenly tokens fall into MUVERA's buckets and on SMVE's anchors.

Raw vectors in a narrow cone fall into few buckets and keep few anchors, and then a code says little about its text.
After centering both are nearly even; what still separates recipes is not seen here (results/query_side/README.md).

    entropy     of the shares of tokens in the buckets of a repetition, in bits, mean over repetitions; k if even
    collision   how often two tokens share a bucket of a repetition; 2^-k if even
    agreement   how often two tokens that share a bucket in one repetition share one in another. It equals `collision`
                if all pairs are equally near (evenly spread, or all in one cone), and is larger if some pairs are
                nearer than others, which is what distinguishes texts. It is None for a single repetition, or if no
                pair shares a bucket
    empty       share of a text's buckets that are empty, before a document's are filled; texts without tokens do not
                count
    Gini        coefficient of the numbers of tokens that keep each anchor: 0 if even, near 1 if all keep the same few
    unused      share of anchors that no token keeps
    overlap     whether two tokens keep a common anchor; without a common one, they add nothing to the score

A *place* is one anchor that one token keeps: n tokens have n * k places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from harness.config.shards import CHUNK
from harness.geometry.moments import units
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding
from harness.system.threads import chunks, map_threads
from harness.vectors.store import TokenVectors

LORENZ = 101  # points of a Lorenz curve
_PAIRS = 1 << 20
_AT_ONCE = 4096  # tokens that one thread projects at a time


def sample(store: TokenVectors, count: int, seed: int) -> Float[np.ndarray, "count dim"]:
    """Distinct token vectors drawn at random (all if there are fewer than `count`), in the order of the store."""
    tokens = int(store.offsets[-1])
    chosen = np.sort(np.random.default_rng(seed).choice(tokens, min(count, tokens), replace=False))

    def chosen_in(rows: range) -> np.ndarray:
        first, last = store.offsets[rows.start], store.offsets[rows.stop]
        inside = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, last)]
        return store.rows(rows.start, rows.stop).tokens[inside - first]

    return np.concatenate(map_threads(chosen_in, chunks(len(store), CHUNK)))


def pairs(count: int, seed: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """2^20 pairs of two different numbers below `count`, at least two, drawn at random."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, count, _PAIRS)
    return left, (left + rng.integers(1, count, _PAIRS)) % count


def bucket_ids(fde: FixedDimensionalEncoding, tokens: Float[np.ndarray, "n dim"]) -> Int[np.ndarray, "n repetitions"]:
    """The bucket of each token in each repetition."""
    above = (tokens @ fde.planes.cpu().numpy() > 0).reshape(len(tokens), fde.repetitions, fde.bits)
    return above @ (1 << np.arange(fde.bits))


def buckets(
    fde: FixedDimensionalEncoding, store: TokenVectors, sampled: Float[np.ndarray, "count dim"], seed: int
) -> dict[str, Any]:
    """How all tokens of a store fall into buckets; the rates of pairs are those of the `sampled` tokens.

    The store must have a text with tokens, and `sampled` two tokens or more.

    Returns
    -------
    ``shares`` (of a repetition's tokens in its buckets, descending, mean over repetitions), ``entropy``,
    ``max_entropy``, ``collision``, ``agreement``, ``empty`` and ``n`` (tokens).
    """
    places = fde.repetitions * fde.buckets
    of_repetition = np.arange(fde.repetitions) * fde.buckets

    def counts_in(rows: range) -> tuple[np.ndarray, int]:
        block = store.rows(rows.start, rows.stop)
        ids = bucket_ids(fde, block.tokens) + of_repetition
        text = np.repeat(np.arange(len(block.lengths)), block.lengths)
        filled = len(np.unique(text[:, None] * places + ids))
        return np.bincount(ids.ravel(), minlength=places), filled

    found = map_threads(counts_in, chunks(len(store), CHUNK))
    counts = np.sum([count for count, _ in found], axis=0).reshape(fde.repetitions, fde.buckets)
    shares = np.sort(counts / counts.sum(axis=1, keepdims=True), axis=1)[:, ::-1]
    filled, texts = sum(number for _, number in found), int((store.lengths > 0).sum())
    return {
        "shares": shares.mean(axis=0).tolist(),
        "entropy": float(np.mean([_entropy(row) for row in shares])),
        "max_entropy": float(fde.bits),
        **_pair_rates(bucket_ids(fde, sampled), seed),
        "empty": 1 - filled / (texts * places),
        "n": int(counts[0].sum()),
    }


def _pair_rates(ids: Int[np.ndarray, "n repetitions"], seed: int) -> dict[str, float | None]:
    """``collision`` and ``agreement``, as the module defines them, over random pairs of tokens."""
    left, right = pairs(len(ids), seed)
    repetitions = ids.shape[1]
    shared = (ids[left] == ids[right]).sum(axis=1).astype(np.float64)
    shared_twice, pairs_of_repetitions = shared @ (shared - 1), shared.sum() * (repetitions - 1)
    agreement = float(shared_twice / pairs_of_repetitions) if pairs_of_repetitions else None
    return {"collision": float(shared.mean() / repetitions), "agreement": agreement}


def _entropy(shares: Float[np.ndarray, " buckets"]) -> float:
    """The entropy of shares, in bits."""
    positive = shares[shares > 0]
    return float(-(positive @ np.log2(positive)))


def anchor_load(encoding: SparseEncoding, tokens: Float[np.ndarray, "n dim"], seed: int) -> dict[str, Any]:
    """How many of the given tokens keep each anchor.

    Returns
    -------
    ``gini``, ``gini_even`` (that of anchors kept at random, which is above 0 for few tokens), ``unused``, ``largest``
    (share of the places on the most loaded anchor), ``lorenz`` (share of the places on the least loaded anchors, at
    `LORENZ` even shares of the anchors) and ``n`` (tokens).
    """
    pieces = chunks(len(tokens), _AT_ONCE)
    kept = np.concatenate(map_threads(lambda rows: encoding.kept(tokens[rows.start : rows.stop])[0].ravel(), pieces))
    load = _lorenz(kept, encoding.size)
    even = _lorenz(np.random.default_rng(seed).integers(0, encoding.size, len(kept)), encoding.size)
    return {
        "gini": _gini(load),
        "gini_even": _gini(even),
        "unused": float((np.diff(load) == 0).mean()),
        "largest": float(load[-1] - load[-2]),
        "lorenz": np.interp(np.linspace(0, 1, LORENZ), np.linspace(0, 1, len(load)), load).tolist(),
        "n": len(tokens),
    }


def _lorenz(places: Int[np.ndarray, " kept"], size: int) -> Float[np.ndarray, " size_1"]:
    """Share of the places on the least loaded 0, 1, ... `size` anchors."""
    return np.concatenate([[0], np.cumsum(np.sort(np.bincount(places, minlength=size)))]) / len(places)


def _gini(lorenz: Float[np.ndarray, " size_1"]) -> float:
    """Twice the area between a Lorenz curve and the diagonal."""
    return float(1 - (lorenz[1:] + lorenz[:-1]).mean())


def zero_overlap(
    encoding: SparseEncoding, queries: Float[np.ndarray, "q dim"], documents: Float[np.ndarray, "d dim"], bins: int = 40
) -> dict[str, Any]:
    """How often a query token and a document token keep no common anchor, by their cosine.

    Returns
    -------
    ``edges`` [bins + 1] from -1 to 1, ``rate`` [bins] (None where there is no pair) and ``pairs`` [bins].
    """
    edges = np.linspace(-1, 1, bins + 1)
    cosines = np.clip(units(queries) @ units(documents).T, -1, 1)
    common = _incidence(encoding, queries) @ _incidence(encoding, documents).T
    place = np.minimum((cosines + 1) / 2 * bins, bins - 1).astype(np.int64).ravel()
    count = np.bincount(place, minlength=bins)
    apart = np.bincount(place, (common.toarray() == 0).ravel(), minlength=bins)
    rate = [float(a / c) if c else None for a, c in zip(apart, count, strict=True)]
    return {"edges": edges.tolist(), "rate": rate, "pairs": count.tolist()}


def _incidence(encoding: SparseEncoding, tokens: Float[np.ndarray, "n dim"]) -> sparse.csr_array:
    """A matrix [n, size] that is 1 where a token keeps an anchor."""
    kept = encoding.kept(tokens)[0]
    ends = np.arange(len(tokens) + 1) * kept.shape[1]
    return sparse.csr_array((np.ones(kept.size, np.int32), kept.ravel(), ends), shape=(len(tokens), encoding.size))


def cosine_histogram(tokens: Float[np.ndarray, "n dim"], seed: int, bins: int = 100) -> list[int]:
    """Counts of the cosines of random pairs of vectors, in even bins from -1 to 1."""
    left, right = pairs(len(tokens), seed)
    directions = units(tokens)
    cosines = np.concatenate(
        [
            np.einsum("pd,pd->p", directions[left[piece]], directions[right[piece]])
            for piece in map(np.array, chunks(_PAIRS, 1 << 16))
        ]
    )
    return np.histogram(np.clip(cosines, -1, 1), bins, (-1, 1))[0].tolist()
