"""SMVE in Qdrant, end to end: exported numbers, the engine's own sparse index, MaxSim reranking by `score`.

    python examples/qdrant_smve.py [model=NAME] [dataset=NAME] [center=NAME] [option=value ...]

Encodes a data set, exports the first stage, stores one sparse vector per document in a shard of Qdrant Edge (Qdrant's
engine inside the process), and searches its inverted index with weights of 32 and of 8 bits. It prints what Qdrant
takes on disk, and the time of a query, its code included. `score` reads the run files of what was found, reranks 100
documents by MaxSim, and writes records of these runs to `results_dir`. Token vectors and the evaluation are the
harness's; the codes are made by the exported reader, and the candidates are found by Qdrant. It needs `make databases`.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import qdrant_edge as qdrant
from omegaconf import OmegaConf

from harness import records
from harness.cli import main as harness
from harness.config import compose
from harness.config.options import CenterOptions, MethodOptions, results_dir
from harness.evaluation.trec import field
from harness.export import codes
from harness.export.reader import Reader
from harness.measure.testbed import Testbed, testbed_of
from harness.vectors.store import TokenVectors

FOUND = 1000
ADDED = 100  # documents that are sent to Qdrant at once
FIELD = "smve"
DATATYPES = {"float32": qdrant.VectorStorageDatatype.Float32, "uint8": qdrant.VectorStorageDatatype.Uint8}
DEFAULTS = ["model=demo", "dataset=docstrings", "center=recommended", "method=smve"]
EXPORTED = ("center", "method", "query_tokens")  # options of the codes, which `score` does not take


def sparse(code: np.ndarray) -> qdrant.SparseVector:
    """A code as Qdrant takes it."""
    anchors = np.flatnonzero(code)
    return qdrant.SparseVector(anchors.tolist(), code[anchors].tolist())


def stored(folder: Path, vectors: list[qdrant.SparseVector], datatype: str) -> qdrant.EdgeShard:
    """A shard with the documents' vectors, in an inverted index."""
    folder.mkdir()
    parameters = qdrant.EdgeSparseVectorParams(datatype=DATATYPES[datatype], full_scan_threshold=1)
    optimizers = qdrant.EdgeOptimizersConfig(indexing_threshold=1)
    config = qdrant.EdgeConfig(sparse_vectors={FIELD: parameters}, optimizers=optimizers)
    shard = qdrant.EdgeShard.create(str(folder), config)
    for first in range(0, len(vectors), ADDED):
        points = [qdrant.Point(first + i, {FIELD: own}) for i, own in enumerate(vectors[first : first + ADDED])]
        shard.update(qdrant.UpdateOperation.upsert_points(points))
    shard.optimize()
    return shard


def lines(shard: qdrant.EdgeShard, encoder: Reader, queries: TokenVectors, testbed: Testbed) -> Iterator[str]:
    """The shard's best documents of each query, as lines of a run file."""
    docs, names = list(testbed.dataset.docs), list(testbed.dataset.queries)
    for i, name in enumerate(names):
        nearest = qdrant.Query.Nearest(sparse(encoder.query(queries[i])), using=FIELD)
        for rank, hit in enumerate(shard.query(qdrant.QueryRequest(limit=FOUND + 1, query=nearest))):
            yield f"{field(name)} Q0 {field(docs[hit.id])} {rank + 1} {hit.score!r} qdrant\n"


def timed(name: str, folder: Path, testbed: Testbed, found: Iterator[str]) -> str:
    """The lines of a search, after a line on what the database takes on disk, and how long a query takes."""
    began = time.perf_counter()
    lines = "".join(found)
    milliseconds = 1000 * (time.perf_counter() - began) / len(testbed.queries)
    kilobytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / len(testbed.docs) / 1000
    sys.stdout.write(f"{name}: {kilobytes:.1f} kB per document on disk, {milliseconds:.1f} ms per query\n")
    return lines


def main(words: list[str]) -> dict[str, dict[str, float]]:
    """Print the table, and return NDCG@10 by the kind of weights and rerank depth."""
    named = {word.partition("=")[0].removesuffix(".path") for word in words}
    words = [*(default for default in DEFAULTS if default.partition("=")[0] not in named), *words]
    options: Any = OmegaConf.to_container(compose.composed(compose.expand(words)), resolve=True)
    method, center = MethodOptions.of(options.pop("method")), CenterOptions.of(options.pop("center"))
    testbed = testbed_of(options, options["dataset"])
    scored = [word for word in words if not word.startswith(EXPORTED)]
    with TemporaryDirectory() as folder:
        codes.export(testbed, method, center, Path(folder))
        encoder, queries = Reader(folder), testbed.seen_queries(center)
        vectors = [sparse(encoder.document(testbed.docs[row])) for row in range(len(testbed.docs))]
        for datatype in DATATYPES:
            shard, run = stored(Path(folder) / datatype, vectors, datatype), Path(folder) / f"qdrant-{datatype}.trec"
            found = timed(datatype, Path(folder) / datatype, testbed, lines(shard, encoder, queries, testbed))
            run.write_text(found, encoding="utf-8")
            shard.close()
            if harness(["score", str(run), "depths=[0,100]", "overwrite=true", *scored]):
                raise SystemExit(1)
    kept = records.read_all(results_dir(options["results_dir"]), [testbed.dataset_name])
    measured = {record.method: record.ndcg10 for record in kept if record.model == testbed.model_name}
    return {datatype: measured[f"{records.FOREIGN}qdrant-{datatype}"] for datatype in DATATYPES}


if __name__ == "__main__":
    main(sys.argv[1:])
