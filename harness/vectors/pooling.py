"""Pooled documents: fewer token vectors each, by hierarchical clustering (Clavié, Chaffin and Adams, 2024).

Ward's clustering of a document's tokens, on their cosines, gives (tokens - 1) // factor clusters. The first token,
[CLS], stays as it is; each cluster becomes the mean of its tokens, which is shorter than a unit vector. Queries are not
pooled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from jaxtyping import Float

from harness.config.shards import CHUNK
from harness.system.files import digest
from harness.system.progress import bar
from harness.vectors.build import build_store
from harness.vectors.store import TokenStore

HIERARCHICAL = "hierarchical"


def pooled(store: TokenStore, ids: Sequence[str], factor: int, show: bool = False) -> TokenStore:
    """The documents of a store with about 1 / `factor` of their tokens, as a store beside it.

    Parameters
    ----------
    ids
        One id per row, for messages.
    """
    made_by = {"pool": HIERARCHICAL, "factor": factor, "scipy": scipy.__version__}
    identity = {"tokens": store.meta["identity"], **made_by}
    path = store.path.with_name(f"{store.path.name}-pool{factor}-{digest(made_by)[:8]}")
    with bar(f"pool {len(store)} documents", len(store), show) as progress:

        def pool_rows(start: int, stop: int) -> list[np.ndarray]:
            progress.move_to(start)
            found = [pool(store[row], factor) for row in range(start, stop)]
            progress.update(stop - start)
            return found

        return build_store(path, ids, pool_rows, identity, CHUNK)


def pool(tokens: Float[np.ndarray, "tokens dim"], factor: int) -> Float[np.ndarray, "fewer dim"]:
    """One document's tokens, pooled; a document of fewer than three tokens stays as it is.

    The same as PyLate's ``pool_embeddings_hierarchical``, which fails where rounding makes a cosine larger than 1.
    """
    from scipy.cluster import hierarchy  # it takes a second to import, and few runs pool

    rest = tokens[1:]
    clusters = max(len(rest) // factor, 1)
    if clusters >= len(rest):
        return tokens
    unit = _unit(rest)
    distances = np.clip(1 - unit @ unit.T, 0, None)[np.triu_indices(len(rest), k=1)]
    labels = hierarchy.fcluster(hierarchy.linkage(distances, method="ward"), t=clusters, criterion="maxclust")
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)  # some clusters may be missing
    sums = np.zeros((len(counts), tokens.shape[1]), dtype=np.float32)
    np.add.at(sums, places, rest)
    return np.concatenate([tokens[:1], sums / counts[:, None].astype(np.float32)])


def _unit(tokens: Float[np.ndarray, "tokens dim"]) -> Float[np.ndarray, "tokens dim"]:
    """Vectors of length 1, or 0; those of a model are so by themselves, up to rounding, and stay as they are."""
    lengths = np.linalg.norm(tokens, axis=1, keepdims=True)
    return tokens if np.allclose(lengths, 1, atol=0.01) else tokens / np.where(lengths > 0, lengths, 1)
