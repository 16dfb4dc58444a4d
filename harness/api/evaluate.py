"""`harness.evaluate`: the pipeline of `run`, on token vectors in memory or on texts with a PyLate model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness import records, run
from harness.api.evaluation import NAME, Evaluation
from harness.api.ragged import named
from harness.config import compose
from harness.data.dataset import Dataset
from harness.measure.failing import Failures
from harness.measure.grouping import by_testbed
from harness.measure.testbed import Testbed
from harness.system.errors import HarnessError
from harness.vectors import query_tokens
from harness.vectors.arrays import EXPANSION, SPECIAL
from harness.vectors.forward import vectors
from harness.vectors.given import DOCUMENTS, QUERIES, GivenVectors

_BATCH_TOKENS = 2048
Texts = Mapping[str, str]
Masks = Mapping[str, Mapping[str, np.ndarray]]


def evaluate(
    documents: Mapping[str, Any],
    queries: Mapping[str, Any],
    qrels: Mapping[str, Mapping[str, int]],
    methods: Sequence[str] = ("muvera", "smve", "exact"),
    center: str = "corpus",
    depths: Sequence[int] = (0, 50, 100, 200, 400, 1000),
    model: Any = None,
    masks: Masks | None = None,
) -> Evaluation:
    """NDCG@10 of first stages on your own token vectors, by the code of `run`.

    Parameters
    ----------
    documents, queries
        Id -> token vectors [tokens, dim], float16 or float32; with `model`, id -> text.
    qrels
        Query id -> document id -> score, whole numbers; queries without any are left out.
    methods, center
        As on the command line, with options behind them: ``"smve"``, ``"muvera method.seeds=10"``;
        ``"text query_tokens=real"``.
    depths
        Rerank depths; 0 is the first stage by itself.
    model
        A PyLate ColBERT, which encodes the texts.
    masks
        What ``query_tokens`` leaves out: ``expansion`` (and ``special``) -> query id -> bool [tokens].

    Raises
    ------
    HarnessError
        For token vectors, options or judgements that cannot be used.
    """
    asked = {name: text for name, text in queries.items() if qrels.get(name)}
    if not asked:
        raise HarnessError("qrels judges none of the queries, expected query id -> document id -> score.")
    order = sorted(documents, reverse=True)  # which decides ties
    texts = documents if model is not None else dict.fromkeys(documents, "")
    asking = asked if model is not None else dict.fromkeys(asked, "")
    judged = {name: dict(qrels[name]) for name in asked}
    dataset = Dataset(NAME, {name: texts[name] for name in order}, dict(asking), judged)
    if model is not None:
        documents, asked, masks = _encoded(model, documents, asked)
    with TemporaryDirectory(prefix="evaluate-") as folder:
        source = GivenVectors(NAME, named(DOCUMENTS, documents), named(QUERIES, asked, masks), Path(folder))
        ((options, requests),) = by_testbed([_configured(method, center, depths, folder) for method in methods])
        failures = Failures()
        run.measure(Testbed(options, failures, dataset, source), requests)
        if failures.sentences:
            raise HarnessError(" ".join(failures.sentences))
        return Evaluation(list(records.read_all(Path(folder))), list(depths))


def _configured(method: str, center: str, depths: Sequence[int], folder: str) -> Any:
    """The configuration of a cell, of words as on the command line."""
    words = [f"model=vectors model.name={NAME} dataset=local dataset.path={folder} dataset.name={NAME} reference=null"]
    words += [f"cache_dir={folder} results_dir={folder} progress=false method={method} center={center}"]
    return compose.composed(compose.expand([*" ".join(words).split(), f"depths={list(depths)}"]))


def _encoded(model: Any, documents: Texts, queries: Texts) -> tuple[dict[str, Any], dict[str, Any], Masks]:
    """The token vectors of texts, and which tokens of queries are expansion tokens and special ones."""
    asked = list(queries.values())
    of_documents = vectors(model, list(documents.values()), False, _BATCH_TOKENS)
    of_queries = vectors(model, asked, True, _BATCH_TOKENS)
    real, words = (query_tokens.places(model, asked, part) for part in (query_tokens.REAL, query_tokens.WORDS))
    cut = {
        EXPANSION: [~row[: len(text)] for row, text in zip(real, of_queries, strict=True)],
        SPECIAL: [~row[: len(text)] for row, text in zip(words, of_queries, strict=True)],
    }
    masks = {name: dict(zip(queries, rows, strict=True)) for name, rows in cut.items()}
    return dict(zip(documents, of_documents, strict=True)), dict(zip(queries, of_queries, strict=True)), masks
