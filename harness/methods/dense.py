"""A single-vector model as first stage: one vector per text, cosine, exact search.

    score(q, d) = v(q) . v(d)          v: the model's vector of a text, of unit length

At rk=0 it is that model by itself, without MaxSim. Vectors are searched in tiles of 256, so a score does not depend on
the available memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from harness.indexes.index import VECTORS, Codes
from harness.methods.method import TEXTS, Method, SearchResult
from harness.models.single_vector import SingleVectorModel
from harness.ranking.products import TILE
from harness.ranking.resources import Resources
from harness.ranking.topk import RunningTopK
from harness.system.progress import Stopwatch, bar
from harness.system.threads import chunks, map_threads

_AT_ONCE = 64 * TILE  # documents whose vectors are in memory


class Dense(Method):
    """Vectors of another model, made and searched block by block."""

    title = "dense"
    order = 7
    reads = TEXTS
    gives = VECTORS

    def __init__(self, model: str) -> None:
        self.model = model

    def inputs(self, models_dir: str | None) -> dict[str, Any]:
        """The sha256 of the model's files and its prefixes, on which every score depends."""
        found = SingleVectorModel.find(self.model, models_dir)
        kept = {name: found.options.get(name) for name in ("query_prefix", "document_prefix", "max_length")}
        return {"encoder": found.checkpoint.sha256, **kept}

    def search_texts(self, docs: Sequence[str], queries: Sequence[str], k: int, resources: Resources) -> SearchResult:
        """The k best documents of each query by cosine."""
        watch, model = Stopwatch(), SingleVectorModel.find(self.model, resources.models_dir)
        model.load(resources.device)
        with watch.phase("encode_queries"):
            asked = model.encode(queries, True, resources.device)
        best = RunningTopK(len(queries), min(k, len(docs)))
        encoding = bar(f"encode with {model.options['name']}", len(docs), resources.show, device=resources.device)
        with encoding as progress:
            for part in chunks(len(docs), _AT_ONCE):
                with watch.phase("encode_documents"):
                    vectors = model.encode(docs[part.start : part.stop], False, resources.device, progress.update)
                with watch.phase("search"):
                    tiles = chunks(len(vectors), TILE)
                    scores = map_threads(lambda rows: asked @ vectors[rows.start : rows.stop].T, tiles)  # noqa: B023
                    best.add(part.start, np.concatenate(scores, axis=1))
        with watch.phase("search"):
            ranking = best.ranking()
        return SearchResult(ranking, watch.seconds, len(docs) * asked.shape[1] * 4, {"dimensions": asked.shape[1]})

    def codes(self, docs: Sequence[str], queries: Sequence[str], resources: Resources) -> Codes:
        """The model's vectors."""
        model, device = SingleVectorModel.find(self.model, resources.models_dir), resources.device
        size = model.encode(queries[:1], True, device).shape[1]  # which loads the model, too

        def documents() -> Iterator[Float[np.ndarray, "block size"]]:
            for part in chunks(len(docs), _AT_ONCE):
                yield model.encode(docs[part.start : part.stop], False, device)

        def some(rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some size"]:
            return model.encode([docs[row] for row in rows], False, device)

        return Codes(size, np.arange(len(docs)), documents, lambda: [model.encode(queries, True, device)], some)
