"""MUVERA in LanceDB, end to end: exported numbers, the database's own search, MaxSim reranking, run files to score.

    python examples/lancedb_muvera.py [model=NAME] [dataset=NAME] [center=NAME] [option=value ...]

Encodes a data set, exports the first stage, stores one vector per document in an embedded LanceDB, searches without an
index and with IVF_PQ, reranks 100 documents by MaxSim, and prints NDCG@10. Token vectors and the evaluation are the
harness's; the codes are made by the exported reader, and the candidates are found by the database. It needs
`pip install lancedb`.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfPq
from omegaconf import OmegaConf

from harness.config import compose
from harness.config.options import CenterOptions, MethodOptions
from harness.export import codes
from harness.export.reader import Reader
from harness.measure.testbed import Testbed, testbed_of
from harness.ranking.ranks import Ranking, drop_self_matches, reorder
from harness.vectors.store import TokenVectors

RERANKED, FOUND = 100, 1000
CENTROIDS = 256  # of each part of a vector: PQ needs as many documents
DEFAULTS = ["model=demo", "dataset=docstrings", "center=recommended", "method=muvera"]


def stored(folder: Path, encoder: Reader, docs: TokenVectors) -> Any:
    """A table with a document's row and code on each line."""
    vectors = np.stack([encoder.document(docs[row]) for row in range(len(docs))])
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return lancedb.connect(folder).create_table("documents", pa.table({"row": np.arange(len(docs)), "vector": column}))


def found(table: Any, encoder: Reader, queries: TokenVectors, **options: int) -> Ranking:
    """The database's best documents of each query."""
    rows = np.full((len(queries), FOUND + 1), -1)
    scores = np.full(rows.shape, -np.inf, dtype=np.float32)
    for i in range(len(queries)):
        search = table.search(encoder.query(queries[i])).distance_type("dot").limit(FOUND + 1)
        for name, value in options.items():
            search = getattr(search, name)(value)
        hits = search.select(["row", "_distance"]).to_arrow()
        rows[i, : len(hits)], scores[i, : len(hits)] = hits["row"], 1 - hits["_distance"].to_numpy()
    return Ranking(rows, scores)


def reranked(testbed: Testbed, first: Ranking) -> dict[int, np.ndarray]:
    """The documents of each query as they were found, and with the first of them in MaxSim order."""
    ranking, _ = drop_self_matches(first, testbed.self_rows, FOUND)
    maxsim = np.full((len(ranking.rows), RERANKED), -np.inf, dtype=np.float32)
    for i, best in enumerate(ranking.rows[:, :RERANKED]):
        for place, row in enumerate(best[best >= 0]):
            maxsim[i, place] = (testbed.queries[i] @ testbed.docs[int(row)].T).max(axis=1).sum()
    return reorder(ranking.rows, maxsim, [0, RERANKED])


def main(words: list[str]) -> dict[str, dict[int, float]]:
    """Print, and return, NDCG@10 x 100 by search and rerank depth."""
    named = {word.partition("=")[0].removesuffix(".path") for word in words}
    words = [*(default for default in DEFAULTS if default.partition("=")[0] not in named), *words]
    options: Any = OmegaConf.to_container(compose.composed(compose.expand(words)), resolve=True)
    method, center = MethodOptions.of(options.pop("method")), CenterOptions.of(options.pop("center"))
    testbed, ndcg10 = testbed_of(options, options["dataset"]), {}
    with TemporaryDirectory() as folder:
        codes.export(testbed, method, center, Path(folder))
        encoder = Reader(folder)
        table = stored(Path(folder) / "database", encoder, testbed.docs)
        queries = testbed.seen_queries(center)
        searches = {"without an index": found(table, encoder, queries)}
        if len(testbed.docs) >= CENTROIDS:
            table.create_index("vector", config=IvfPq(distance_type="dot", num_partitions=8, num_sub_vectors=256))
            searches["IVF_PQ"] = found(table, encoder, queries, nprobes=4)
    for name, first in searches.items():
        rankings = reranked(testbed, first)
        ndcg10[name] = {depth: 100 * float(testbed.evaluator.ndcg10(rows).mean()) for depth, rows in rankings.items()}
        values = "  ".join(f"rk={depth} {value:.2f}" for depth, value in ndcg10[name].items())
        sys.stdout.write(f"LanceDB, {name}: NDCG@10 {values}\n")
    return ndcg10


if __name__ == "__main__":
    main(sys.argv[1:])
