"""The card's training data: from files of the published format to a training run."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scripts
from tiny import WORDS

from harness.cli import main
from harness.data import beir
from harness.system.errors import HarnessError

DOCUMENTS, QUERIES, MINED = 90, 24, 70


@pytest.fixture
def card_data():
    return scripts.loaded("card_data")


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """Two sources of the published format, in two files each; ids begin at 0 in every source."""
    folder, rng = tmp_path_factory.mktemp("download"), np.random.default_rng(6)
    for source in ("fiqa", "nq"):
        texts = [" ".join(rng.choice(WORDS, 12)) + f" {source}{i}" for i in range(DOCUMENTS)]
        asked = [" ".join(text.split()[:5]) for text in texts[:QUERIES]]
        rows = []
        for query in [*range(QUERIES), 0]:  # the first query has two positives
            positive = query if len(rows) < QUERIES else QUERIES
            others = rng.permutation([i for i in range(DOCUMENTS) if i != positive])[: MINED - 1]
            scores = np.sort(rng.uniform(0.3, 0.97, MINED - 1))[::-1]
            rows.append((query, [positive, *others.tolist()], [0.9, *scores.tolist()]))
        rows[1] = (1, rows[1][1], [0.2, *rows[1][2][1:]])  # a positive below all that was mined
        tables = {
            "documents": {"document_id": range(DOCUMENTS), "document": texts},
            "queries": {"query_id": range(QUERIES), "query": asked},
            "scores": dict(zip(("query_id", "document_ids", "scores"), zip(*rows, strict=True), strict=True)),
        }
        for kind, columns in tables.items():
            (folder / kind).mkdir(exist_ok=True)
            table = pa.table({name: pa.array(list(values)) for name, values in columns.items()})
            for number, part in enumerate((table[:10], table[10:])):
                pq.write_table(part, folder / kind / f"{source}-{number:05d}-of-00002.parquet")
    return folder


def test_negatives_are_mined_as_the_authors_report(card_data, download):
    """Against the definition, pair by pair."""
    found = iter(card_data.pairs(download, "nq"))
    rows = [row for path in sorted((download / "scores").glob("nq-*")) for row in pq.read_table(path).to_pylist()]
    kept = 0
    for row in rows:
        positives = {r["document_ids"][0] for r in rows if r["query_id"] == row["query_id"]}
        below = [
            (score, document)
            for document, score in zip(row["document_ids"], row["scores"], strict=True)
            if score < 0.99 * row["scores"][0] and document not in positives
        ]
        if len(below) < 50:
            continue
        query, documents = next(found)
        assert query == row["query_id"] and documents[0] == row["document_ids"][0]
        assert documents[1:] == [document for _, document in sorted(below, reverse=True)[:7]]
        kept += 1
    assert next(found, None) is None and 15 < kept < len(rows)


def test_a_source_is_a_folder_in_the_beir_layout(card_data, download, tmp_path):
    count = card_data.convert(download, tmp_path, "fiqa")
    data = beir.read_folder("card-fiqa", tmp_path / "card-fiqa", "train", None)
    assert len(data.queries) == count == len(card_data.pairs(download, "fiqa"))
    for query, judged in data.qrels.items():
        assert sorted(judged.values()) == [0] * 7 + [1]
        (positive,) = (document for document, score in judged.items() if score)
        shared = set(data.queries[query].split()) & set(data.docs[positive].split())
        assert shared == set(data.queries[query].split()) or int(positive) == QUERIES  # the second positive of query 0
    before = (tmp_path / "card-fiqa" / "corpus.jsonl").stat().st_mtime_ns
    assert card_data.convert(download, tmp_path, "fiqa") == count
    assert (tmp_path / "card-fiqa" / "corpus.jsonl").stat().st_mtime_ns == before


def test_what_is_not_the_data_set_is_a_sentence(card_data, download, tmp_path):
    with pytest.raises(HarnessError, match=r"has no trivia-\*.parquet, expected the data set"):
        card_data.convert(download, tmp_path, "trivia")
    (tmp_path / "scores").mkdir()
    pq.write_table(pa.table({"query_id": [1]}), tmp_path / "scores" / "nq-0.parquet")
    with pytest.raises(HarnessError, match="has no column document_ids, scores"):
        card_data.convert(tmp_path, tmp_path, "nq")


def test_the_cards_training_runs_end_to_end(download, lateon_like, tmp_path):
    """On a tiny sample and a tiny model of LateOn's architecture: all weights, 7 negatives, both sources."""
    made = subprocess.run(
        [sys.executable, scripts.FOLDER / "card_data.py", download, tmp_path / "data", "fiqa", "nq"],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0 and made.stdout.splitlines()[0].startswith("fiqa: "), made.stderr
    left_out = [f"~train_data.sources.card-{name}" for name in ("hotpotqa", "msmarco", "fever", "squadv2", "trivia")]
    small = ["train.batch_size=2", "train.max_steps=2", "train.warmup=1", "train_data.validation_share=0.2"]
    tiny = [f"model.path={lateon_like}", "model.dim=16", "model.document_length=48", "model.dtype=float32"]
    place = [f"data_dir={tmp_path / 'data'}", f"cache_dir={tmp_path / 'cache'}", f"train.output={tmp_path / 'run'}"]
    words = ["experiment=card_training", "train_data.exclude=[]", "progress=false"]
    assert main(["train", *words, *left_out, *small, *tiny, *place]) == 0
    facts = json.loads((tmp_path / "run" / "training.json").read_text())
    assert facts["steps"] == 2 and set(facts["pairs"]) == {"card-fiqa", "card-nq"}
    assert facts["identity"]["train"]["trainable"] == "all" and (tmp_path / "run" / "model").is_dir()
