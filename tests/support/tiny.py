"""Tiny inputs: words, unit vectors, data sets, checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.vectors.store import StoreInMemory

WORDS = "wing flow heat shock layer body plate speed drag lift jet wave nose cone tube bend beam load skin rib".split()


def unit(rng: np.random.Generator, tokens: int, dim: int, cone: float = 0.0) -> np.ndarray:
    """Random unit vectors [tokens, dim], the more alike the larger `cone` is."""
    vectors = rng.standard_normal((tokens, dim)) + cone
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def in_memory(texts: Sequence[np.ndarray]) -> StoreInMemory:
    """Token matrices as a store."""
    return StoreInMemory(np.concatenate(texts), np.array([len(text) for text in texts]))


def write_dataset(
    folder: Path,
    docs: dict[str, str],
    queries: dict[str, str],
    qrels: dict[str, dict[str, int]],
    train: dict[str, str] | None = None,
) -> Path:
    """A folder in the BEIR layout."""
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": name, "title": "", "text": text} for name, text in docs.items()]
    asked = [{"_id": name, "text": text} for name, text in {**queries, **(train or {})}.items()]
    for name, entries in {"corpus": corpus, "queries": asked}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    lines = [
        "query-id\tcorpus-id\tscore",
        *(f"{q}\t{d}\t{s}" for q, judged in qrels.items() for d, s in judged.items()),
    ]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    if train:
        some = next(iter(docs))
        lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{some}\t1" for query in train)]
        (folder / "qrels" / "train.tsv").write_text("\n".join(lines) + "\n")
    return folder


def with_dropout(checkpoint: Path, folder: Path) -> Path:
    """A copy of a BERT or ModernBERT checkpoint whose training drops half of everything."""
    config = json.loads((shutil.copytree(checkpoint, folder) / "config.json").read_text())
    names = (
        "attention_dropout",
        "mlp_dropout",
        "embedding_dropout",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
    )
    changed = {name: 0.5 for name in names if name in config}
    assert len(changed) in (2, 3)
    (folder / "config.json").write_text(json.dumps({**config, **changed}))
    return folder
