"""MUVERA in LanceDB, end to end: exported numbers, the database's own search, MaxSim reranking by `score`.

    python examples/lancedb_muvera.py [model=NAME] [dataset=NAME] [center=NAME] [option=value ...]

Encodes a data set, exports the first stage, stores one vector per document in an embedded LanceDB, and searches without
an index and with IVF_PQ. It prints what the database takes on disk, and the time of a query, its code included. `score`
reads the run files of what was found, reranks 100 documents by MaxSim, and writes records of these runs to
`results_dir`. Token vectors and the evaluation are the harness's; the codes are made by the exported reader, and the
candidates are found by the database. It needs `make databases`.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfPq
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
CENTROIDS = 256  # of each part of a vector: PQ needs as many documents
DEFAULTS = ["model=demo", "dataset=docstrings", "center=recommended", "method=muvera"]
EXPORTED = ("center", "method", "query_tokens")  # options of the codes, which `score` does not take


def stored(folder: Path, encoder: Reader, docs: TokenVectors) -> Any:
    """A table with a document's row and code on each line."""
    vectors = np.stack([encoder.document(docs[row]) for row in range(len(docs))])
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return lancedb.connect(folder).create_table("documents", pa.table({"row": np.arange(len(docs)), "vector": column}))


def lines(table: Any, encoder: Reader, queries: TokenVectors, testbed: Testbed, **options: int) -> Iterator[str]:
    """The database's best documents of each query, as lines of a run file."""
    docs, names = list(testbed.dataset.docs), list(testbed.dataset.queries)
    for i, name in enumerate(names):
        search = table.search(encoder.query(queries[i])).distance_type("dot").limit(FOUND + 1)
        for option, value in options.items():
            search = getattr(search, option)(value)
        hits = search.select(["row", "_distance"]).to_arrow().to_pylist()
        for rank, hit in enumerate(hits):
            yield f"{field(name)} Q0 {field(docs[hit['row']])} {rank + 1} {1 - hit['_distance']!r} lancedb\n"


def timed(name: str, folder: Path, testbed: Testbed, found: Iterator[str]) -> str:
    """The lines of a search, after a line on what the database takes on disk, and how long a query takes."""
    began = time.perf_counter()
    lines = "".join(found)
    milliseconds = 1000 * (time.perf_counter() - began) / len(testbed.queries)
    kilobytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / len(testbed.docs) / 1000
    sys.stdout.write(f"{name}: {kilobytes:.1f} kB per document on disk, {milliseconds:.1f} ms per query\n")
    return lines


def main(words: list[str]) -> dict[str, dict[str, float]]:
    """Print the table, and return NDCG@10 by search and rerank depth."""
    named = {word.partition("=")[0].removesuffix(".path") for word in words}
    words = [*(default for default in DEFAULTS if default.partition("=")[0] not in named), *words]
    options: Any = OmegaConf.to_container(compose.composed(compose.expand(words)), resolve=True)
    method, center = MethodOptions.of(options.pop("method")), CenterOptions.of(options.pop("center"))
    testbed, runs = testbed_of(options, options["dataset"]), {}
    scored = [word for word in words if not word.startswith(EXPORTED)]
    with TemporaryDirectory() as folder:
        codes.export(testbed, method, center, Path(folder))
        encoder, queries, place = Reader(folder), testbed.seen_queries(center), Path(folder) / "database"
        table = stored(place, encoder, testbed.docs)
        runs["flat"] = timed("flat", place, testbed, lines(table, encoder, queries, testbed))
        if len(testbed.docs) >= CENTROIDS:
            table.create_index("vector", config=IvfPq(distance_type="dot", num_partitions=8, num_sub_vectors=256))
            runs["ivf_pq"] = timed("ivf_pq", place, testbed, lines(table, encoder, queries, testbed, nprobes=4))
        for name, text in runs.items():
            run = Path(folder) / f"lancedb-{name}.trec"
            run.write_text(text, encoding="utf-8")
            if harness(["score", str(run), "depths=[0,100]", "overwrite=true", *scored]):
                raise SystemExit(1)
    found = records.read_all(results_dir(options["results_dir"]), [testbed.dataset_name])
    measured = {record.method: record.ndcg10 for record in found if record.model == testbed.model_name}
    return {name: measured[f"{records.FOREIGN}lancedb-{name}"] for name in runs}


if __name__ == "__main__":
    main(sys.argv[1:])
