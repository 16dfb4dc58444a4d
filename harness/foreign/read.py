"""A run file of another engine, as a ranking of the data set's documents.

    NAME.trec[.gz]     trec_eval's format: query Q0 document rank score tag, separated by blanks or tabs
    NAME.json[.gz]     ranx's: {query: {document: score}}

The rank is not read: documents stand by score, descending, and ties by our rule (`harness.ranking.ranks`), which is
trec_eval's. Blanks in ids may be escaped as in the files that `run` writes (`harness.evaluation.trec`). A query of the
data set that the file lacks has no documents, and counts as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.data import lines
from harness.data.dataset import Dataset
from harness.evaluation.trec import field
from harness.ranking.ranks import Ranking
from harness.system import strict_json
from harness.system.errors import HarnessError

_COLUMNS = 6
_LAYOUT = "query Q0 document rank score tag"
Scored = tuple[str, str, Any, str]
"""Query, document, score, and where it stands in the file, in words."""


def read(path: Path, dataset: Dataset, most: int) -> Ranking:
    """The first documents of each query, at most `most` of them.

    Raises
    ------
    HarnessError
        If the file cannot be read, names a query or a document that the data set does not have, or that may be one of
        two, has a document twice for a query, or a score that is not a finite number.
    """
    queries, docs = _places(dataset.queries), _places(dataset.docs)
    found: list[dict[int, float]] = [{} for _ in dataset.queries]
    is_json = Path(path.name.removesuffix(".gz")).suffix == ".json"
    unclear = {} if is_json else _unclear(dataset.queries) | _unclear(dataset.docs)
    for query, document, score, where in _of_json(path) if is_json else _of_trec(path):
        if one := next((name for name in (query, document) if name in unclear), None):
            either = f"{lines.shown(one)}, which is an id and also how the id {lines.shown(unclear[one])} is written"
            raise _wrong(path, where, either, "ids that can be told apart", "save the run as ranx's JSON")
        if query not in queries:
            expected = f"one of the {len(dataset.queries)} judged queries of {dataset.name}"
            raise _wrong(path, where, f"the query {lines.shown(query)}", expected, "leave it out")
        if document not in docs:
            expected = f"one of the {len(dataset.docs)} documents of {dataset.name}"
            raise _wrong(path, where, f"the document {lines.shown(document)}", expected, "is it another corpus?")
        documents, row = found[queries[query]], docs[document]
        if row in documents:
            twice = f"the document {lines.shown(document)} again for the query {lines.shown(query)}"
            raise _wrong(path, where, twice, "each document once for a query", "delete one of the two")
        documents[row] = _number(path, where, score)
    if not any(found):
        raise HarnessError(f"{path} has no document, expected a run: {_LAYOUT} on each line, or ranx's JSON.")
    return _ranking(found, most)


def _ranking(found: list[dict[int, float]], most: int) -> Ranking:
    """Score descending, then row ascending; both are compared before scores are rounded to float32."""
    width = min(most, max(map(len, found)))
    rows, scores = np.full((len(found), width), -1, dtype=np.int64), np.full((len(found), width), -np.inf, np.float32)
    for i, documents in enumerate(found):
        ordered = sorted(documents.items(), key=lambda pair: (-pair[1], pair[0]))[:width]
        rows[i, : len(ordered)] = [row for row, _ in ordered]
        scores[i, : len(ordered)] = np.clip([score for _, score in ordered], *_FLOAT32)
    return Ranking(rows, scores)


_FLOAT32 = (float(np.finfo(np.float32).min), float(np.finfo(np.float32).max))


def _places(names: Mapping[str, Any]) -> dict[str, int]:
    """Id -> row; also of ids as `run` escapes them, where that is no id itself."""
    return {field(name): row for row, name in enumerate(names)} | {name: row for row, name in enumerate(names)}


def _unclear(names: Mapping[str, Any]) -> dict[str, str]:
    """Id -> the other id that `run` writes in the same way, of ids that have one."""
    return {field(name): name for name in names if field(name) != name and field(name) in names}


def _of_trec(path: Path) -> Iterator[Scored]:
    for number, line in lines.read(path):
        columns = line.split()
        if len(columns) != _COLUMNS:
            found = f"{lines.shown(line)}, {len(columns)} columns"
            raise lines.wrong(path, number, found, f"six, {_LAYOUT}", "correct the line")
        query, _, document, _, score, _ = columns
        yield query, document, score, f"line {number}"


def _of_json(path: Path) -> Iterator[Scored]:
    text = "\n".join(line for _, line in lines.read(path))
    try:
        content = strict_json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HarnessError(
            f"{path} is no JSON ({error}), expected ranx's run, {{query: {{document: score}}}}: save it again."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(documents, dict) for documents in content.values()):
        raise HarnessError(f"{path} has another layout, expected ranx's run, {{query: {{document: score}}}}.")
    for query, documents in content.items():
        for document, score in documents.items():
            yield query, document, score, f"query {lines.shown(query)}"


def _number(path: Path, where: str, score: Any) -> float:
    try:
        number = math.nan if isinstance(score, bool) else float(score)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(path, where, f"the score {lines.shown(score)}", "a finite number", "correct it")
    return number


def _wrong(path: Path, where: str, found: str, expected: str, action: str) -> HarnessError:
    return HarnessError(f"{path}, {where}: {found}; expected {expected}: {action}.")
