"""LateOn's supervised training data, as published, as folders in the BEIR layout that `train` reads.

    hf download lightonai/embeddings-fine-tuning --repo-type dataset --local-dir DOWNLOAD
    python examples/card_data.py DOWNLOAD OUTPUT [SOURCE ...]
    python -m harness train experiment=card_training data_dir=OUTPUT

The data set (1.88 million pairs of seven sources, about 60 GB) has three folders of Parquet files, SOURCE-*.parquet
(pyarrow, which reads them, is installed with PyLate):

    queries/     query_id, query
    documents/   document_id, document
    scores/      query_id, document_ids, scores: a pair; the first document is the positive, the others are the 2,048
                 documents nearest to the query, with the scores of the model that mined them

A mined document is a negative if its score is below 0.99 of the positive's, and it is no positive of the query in
another pair. Pairs with fewer than 50 negatives are left out, because their positive is doubtful. This is reported of
LateOn's training, which samples 7 negatives; here these are the 7 with the highest scores, which is an assumption.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from harness.system.errors import HarnessError
from harness.system.files import replacing

SOURCES = ("fiqa", "nq", "hotpotqa", "msmarco", "fever", "squadv2", "trivia")
THRESHOLD, FEWEST, NEGATIVES = 0.99, 50, 7
Pair = tuple[int, list[int]]
"""A query, and its documents: the positive, then the negatives."""


def pairs(folder: Path, source: str) -> list[Pair]:
    """The pairs of a source that have enough negatives."""
    positives: dict[int, set[int]] = {}
    for query, documents, _ in _rows(folder, source):
        positives.setdefault(query, set()).add(int(documents[0]))
    found = []
    for query, documents, scores in _rows(folder, source):
        eligible = scores < THRESHOLD * scores[0]
        eligible &= ~np.isin(documents, list(positives[query]))
        if eligible.sum() >= FEWEST:
            hardest = np.argsort(-scores[eligible], kind="stable")[:NEGATIVES]
            found.append((query, [int(documents[0]), *documents[eligible][hardest].tolist()]))
    return found


def convert(folder: Path, output: Path, source: str) -> int:
    """Write one source in the BEIR layout, as card-SOURCE; the number of its pairs. What is there is kept.

    Data sets that are evaluated have the plain names.
    """
    made = output / f"card-{source}"
    judgements = made / "qrels" / "train.tsv"
    if judgements.exists():
        return len({line.split("\t")[0] for line in judgements.read_text().splitlines()[1:]})
    kept = pairs(folder, source)
    asked, wanted = {query for query, _ in kept}, {document for _, documents in kept for document in documents}
    queries = {number: text for number, text in _texts(folder, "queries", "query", source) if number in asked}
    with replacing(made / "corpus.jsonl") as file:
        for number, text in _texts(folder, "documents", "document", source):
            if number in wanted:
                file.write(_line({"_id": str(number), "title": "", "text": text}))
    with replacing(made / "queries.jsonl") as file:
        for number, (query, _) in enumerate(kept):  # a query with several positives stands once for each
            file.write(_line({"_id": f"q{number}", "text": queries[query]}))
    with replacing(judgements) as file:
        file.write(b"query-id\tcorpus-id\tscore\n")
        for number, (_, documents) in enumerate(kept):
            for place, document in enumerate(documents):
                file.write(f"q{number}\t{document}\t{int(place == 0)}\n".encode())
    return len(kept)


def _rows(folder: Path, source: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each pair of a source: the query, the documents' ids and their scores."""
    for batch in _batches(folder, "scores", source, ["query_id", "document_ids", "scores"]):
        lists = [batch[name] for name in ("document_ids", "scores")]
        ids, scores = (one.flatten().to_numpy(zero_copy_only=False) for one in lists)
        ends = np.cumsum(lists[0].value_lengths().to_numpy(zero_copy_only=False))
        starts = np.concatenate([[0], ends[:-1]])
        for query, start, end in zip(batch["query_id"].to_pylist(), starts, ends, strict=True):
            yield query, ids[start:end], scores[start:end]


def _texts(folder: Path, kind: str, name: str, source: str) -> Iterator[tuple[int, str]]:
    """Number and text of each query or document of a source."""
    for batch in _batches(folder, kind, source, [f"{name}_id", name]):
        yield from zip(batch[f"{name}_id"].to_pylist(), batch[name].to_pylist(), strict=True)


def _batches(folder: Path, kind: str, source: str, columns: list[str]) -> Iterator[Any]:
    files = sorted((folder / kind).glob(f"{source}-*.parquet"))
    if not files:
        raise HarnessError(
            f"{folder / kind} has no {source}-*.parquet, expected the data set lightonai/embeddings-fine-tuning: "
            "download it again."
        )
    for path in files:
        parquet = pq.ParquetFile(path)
        if missing := sorted({*columns} - {*parquet.schema_arrow.names}):
            raise HarnessError(f"{path} has no column {', '.join(missing)}: it is another version of the data set.")
        yield from parquet.iter_batches(1024, columns=columns)


def _line(entry: dict[str, str]) -> bytes:
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode()


def main() -> int:
    """Convert the sources that are named, or all of them."""
    if len(sys.argv) < 3:
        sys.stderr.write(__doc__ or "")
        return 2
    folder, output, *named = sys.argv[1:]
    try:
        for source in named or SOURCES:
            sys.stdout.write(f"{source}: {convert(Path(folder), Path(output), source)} pairs\n")
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
