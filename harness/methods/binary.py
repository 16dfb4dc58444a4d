"""1-bit codes: each number of a document's token vectors is kept as its sign, an eighth of a byte.

    score(q, d) = sum over query tokens of max_j q_i . sign(d_j)          sign(x) = 1 for x > 0, else -1

Queries stay as they are, or are rounded to int8 (`queries`): 127 steps on either side of 0 up to each token's largest
number. It is a first stage over all tokens, as exact search is, with a 32nd of float32's bytes; MaxSim of the vectors
themselves then reranks. Here the codes are multiplied as floats, so that its search takes as long as exact search; an
engine that multiplies bits is faster.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from harness.methods.method import Method, SearchResult
from harness.ranking import maxsim
from harness.ranking.maxsim import Pairs
from harness.ranking.resources import Resources
from harness.system.errors import HarnessError
from harness.system.progress import Stopwatch, bar
from harness.vectors.store import TokenVectors, stacked

QUERIES = ("float", "int8")
_STEPS = 127


class Binary(Method):
    """MaxSim with signs."""

    title = "1-bit"
    order = 5

    def __init__(self, queries: str) -> None:
        if queries not in QUERIES:
            raise HarnessError(f"method.queries={queries}: expected {' or '.join(QUERIES)}.")
        self.queries = queries

    def search(self, docs: TokenVectors, queries: TokenVectors, k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by the score above."""
        watch = Stopwatch(resources.device)
        asked = queries if self.queries == "float" else stacked([part.map(_rounded) for part in queries.parts])
        searching = bar("1-bit codes", len(docs), resources.show, device=resources.device)
        with watch.phase("search"), searching as progress:
            best = resources.top_k(len(queries), min(k, len(docs)))
            none, signs = Pairs.of([], len(queries)), docs.map(_signs)
            maxsim.score(asked, signs, none, resources.block_bytes, resources.device, best.add, progress.update)
            ranking = best.ranking()
        return SearchResult(ranking, watch.seconds, int(docs.offsets[-1]) * -(-docs.dim // 8))


def _signs(tokens: Float[np.ndarray, "n dim"], lengths: np.ndarray) -> Float[np.ndarray, "n dim"]:
    """1 for numbers above 0, -1 for the others."""
    return np.where(tokens > 0, np.float32(1), np.float32(-1))


def _rounded(tokens: Float[np.ndarray, "n dim"], lengths: np.ndarray) -> Float[np.ndarray, "n dim"]:
    """Each token rounded to whole multiples of 1 / `_STEPS` of its largest number."""
    step = np.abs(tokens).max(axis=1, keepdims=True, initial=0) / _STEPS
    return np.rint(np.divide(tokens, step, out=np.zeros_like(tokens), where=step > 0)) * step
