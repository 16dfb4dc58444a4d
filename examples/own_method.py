"""A method of your own: random projection and mean pooling, one dense vector per text, compared by dot product.

Copy this file to harness/methods/own_method.py, and these lines to conf/method/own_method.yaml:

    # Random projection and mean pooling: a text is the mean of its projected token vectors
    name: own_method
    width: 64             # numbers per text
    seed: 42
    seeds: null           # independent draws: a number or a list; null: one
"""

import numpy as np

from harness.methods.method import Method, SearchResult, search_little
from harness.ranking.products import TILE, tiled
from harness.ranking.resources import Resources
from harness.ranking.topk import RunningTopK
from harness.system.progress import Stopwatch
from harness.vectors.store import Block, TokenVectors


class OwnMethod(Method):
    """Mean pooling after a random projection; the constructor takes the options of the YAML file."""

    title = "mean pooling"

    def __init__(self, width: int, seed: int) -> None:
        self.width, self.seed = width, seed

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k documents of each query whose mean vectors have the largest dot products with the query's."""
        watch, best = Stopwatch(), RunningTopK(len(queries), min(k, len(docs)))
        projection = np.random.default_rng(self.seed).standard_normal((docs.dim, self.width), dtype=np.float32)
        with watch.phase("encode_queries"):  # part by part: so no query's score depends on those beside it
            asked = [tiled(_means(part.rows(0, len(part))), projection, 0).T for part in queries.parts]
        for block in docs.blocks(12 * docs.dim, 8 * self.width + 4 * len(queries), resources.block_bytes, TILE):
            with watch.phase("encode_documents"):
                vectors = tiled(_means(block), projection, block.start)
            with watch.phase("search"):
                scores = np.concatenate([tiled(vectors, part, block.start).T for part in asked])
                scores[:, block.lengths == 0] = -np.inf  # a document without tokens is no candidate
                best.add(block.start, scores)
        return SearchResult(best.ranking(), watch.seconds, index_bytes=len(docs) * self.width * 4)

    def warm_up(self, dim: int, resources: Resources) -> None:
        """Search two texts: what a first search loads is not timed."""
        search_little(self, dim, resources)


def _means(block: Block) -> np.ndarray:
    """float32 [rows, dim]: the mean of each row's token vectors; a row without tokens is zero."""
    sums = np.zeros((len(block.lengths), block.tokens.shape[1]), dtype=np.float32)
    np.add.at(sums, np.repeat(np.arange(len(block.lengths)), block.lengths), block.tokens)
    return sums / np.maximum(block.lengths, 1).astype(np.float32)[:, None]
