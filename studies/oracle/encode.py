"""A data set encoded, searched exactly and scored by other code: sentence-transformers and trec_eval.

    .venv-oracle/bin/python studies/oracle/encode.py MODEL DATASET QUERY_LENGTH DOCUMENTS OUTPUT

MODEL is the folder of a PyLate checkpoint, DATASET one in the BEIR layout. The corpus is cut to so many DOCUMENTS: all
judged ones, then others by the sha256 of their ids. It runs in the environment of `make oracle`, and no code of the
harness takes part. OUTPUT then has

    documents/, queries/    the token vectors, float32, as `vectors=FOLDER` reads them
    ndcg10.json             query id -> NDCG@10, 0 to 1, of the exact search by MaxSim
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytrec_eval
from sentence_transformers import MultiVectorEncoder

_AT_ONCE = 512  # documents in one call of the library's MaxSim
Vectors = dict[str, np.ndarray]


def main(model: Path, dataset: Path, query_length: int, documents: int, output: Path) -> None:
    """Encode, search, score and write."""
    encoder = _encoder(model, query_length)
    qrels = _qrels(dataset)
    asked = {name: line["text"] for name, line in _lines(dataset / "queries.jsonl").items() if name in qrels}
    texts = {name: _text(line) for name, line in _lines(dataset / "corpus.jsonl").items()}
    judged = {name for found in qrels.values() for name in found}
    order = sorted(texts, key=lambda name: (name not in judged, sha256(name.encode()).digest()))
    texts = {name: texts[name] for name in order[:documents]}
    options = {"batch_size": 16, "convert_to_numpy": True, "show_progress_bar": True}
    queries = dict(zip(asked, encoder.encode_query([*asked.values()], **options), strict=True))
    docs = dict(zip(texts, encoder.encode_document([*texts.values()], **options), strict=True))
    _write(output / "queries", queries)
    _write(output / "documents", docs)
    scores = _scored(_searched(encoder, queries, docs), qrels)
    (output / "ndcg10.json").write_text(json.dumps(scores, indent=1) + "\n")
    sys.stdout.write(f"NDCG@10 x 100: {100 * np.mean([*scores.values()]):.2f}\n")


def _encoder(model: Path, query_length: int) -> MultiVectorEncoder:
    """The checkpoint as the library reads it; a query is padded to this length if the checkpoint expands queries."""
    encoder = MultiVectorEncoder(str(model), device="cpu", local_files_only=True)
    transformer = encoder[0]
    if transformer.query_expansion:
        transformer.query_expansion = {**transformer.query_expansion, "length": query_length}
    else:
        transformer.query_length = query_length
    return encoder


def _searched(encoder: MultiVectorEncoder, queries: Vectors, docs: Vectors) -> dict[str, dict[str, float]]:
    """Query id -> document id -> MaxSim by the library, of all documents."""
    names, found = [*docs], {query: {} for query in queries}
    for start in range(0, len(names), _AT_ONCE):
        block = names[start : start + _AT_ONCE]
        scores = encoder.similarity([*queries.values()], [docs[name] for name in block]).numpy()
        for query, row in zip(queries, scores, strict=True):
            found[query] |= zip(block, row.astype(float), strict=True)
    return found


def _scored(run: dict[str, dict[str, float]], qrels: Mapping[str, dict[str, int]]) -> dict[str, float]:
    """NDCG@10 of each query by trec_eval; a document that has the query's own id is left out."""
    for query, found in run.items():
        found.pop(query, None)
    measured = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    return {query: measured[query]["ndcg_cut_10"] for query in run}


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    """Id -> the object of each line."""
    objects = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {line["_id"]: line for line in objects}


def _text(line: Mapping[str, Any]) -> str:
    """A document as BEIR gives it to a model."""
    return f"{line.get('title', '')} {line['text']}".strip()


def _qrels(dataset: Path) -> dict[str, dict[str, int]]:
    """Query id -> document id -> judgement."""
    qrels: dict[str, dict[str, int]] = {}
    with (dataset / "qrels" / "test.tsv").open(encoding="utf-8") as file:
        for query, document, score in list(csv.reader(file, delimiter="\t"))[1:]:
            qrels.setdefault(query, {})[document] = int(score)
    return qrels


def _write(folder: Path, vectors: Vectors) -> None:
    """One side of a folder of token vectors (docs/inputs.md)."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "tokens.npy", np.concatenate([*vectors.values()]))
    np.save(folder / "lengths.npy", np.array([len(rows) for rows in vectors.values()]))
    (folder / "ids.json").write_text(json.dumps([*vectors]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
