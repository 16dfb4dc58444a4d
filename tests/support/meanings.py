"""What a data set means: documents, queries and judgements, read as kindly as possible and without harness/.

A meaning is made from objects and rows (of an edit that knows what it does), or from the bytes of files (of an edit
that changes bytes). It is `wrong` where no score can be right, so that a refusal is the only right outcome.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HALF = re.compile(r"[\ud800-\udfff]")
MANY = 0.1
"""The share of documents, queries or judgements above which an oddity must be said (docs/inputs.md)."""


@dataclass
class Meaning:
    """A data set as it is meant.

    Attributes
    ----------
    qrels : query -> document -> grade, for the judged queries
    wrong : why no score can be right; empty: one can
    doubts : patterns of what must be said beside a score
    """

    docs: dict[str, str] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    qrels: dict[str, dict[str, int]] = field(default_factory=dict)
    wrong: str = ""
    doubts: list[str] = field(default_factory=list)
    keeps_self_matches: bool = False


class Nonsense(Exception):
    """What has no meaning."""


def of_objects(corpus: Sequence[Any], queries: Sequence[Any], rows: Sequence[Sequence[str]]) -> Meaning:
    """The meaning of JSON values and of rows (query, document, grade)."""
    try:
        docs, halves = _texts(corpus, ("title", "text"))
        asked, more = _texts(queries, ("text",))
        found = Meaning(docs, asked, _judgements(rows))
        _check(found)
    except Nonsense as error:
        return Meaning(wrong=str(error))
    found.doubts += ["U\\+FFFD"] * bool(halves or more)
    return found


def of_files(folder: Path) -> Meaning:
    """The meaning of the files in a folder."""
    try:
        corpus = _lines(folder / "corpus.jsonl")
        queries = _lines(folder / "queries.jsonl")
        rows = _rows(_lines(folder / "qrels" / "test.tsv"), {str(one.get("_id")) for one in map(_object, queries)})
        return of_objects([_object(line) for line in corpus], [_object(line) for line in queries], rows)
    except (Nonsense, OSError) as error:
        return Meaning(wrong=str(error) or type(error).__name__)


def _lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file that are not blank; a byte order mark at its beginning says nothing."""
    packed = path.with_name(f"{path.name}.gz")
    try:
        content = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
        text = content.decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Nonsense(f"{packed.name} is damaged") from error
    except UnicodeDecodeError as error:
        raise Nonsense(f"{path.name} is not UTF-8") from error
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def _object(line: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Nonsense("a field stands twice in an object")
        return dict(pairs)

    try:
        found = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Nonsense("a line is no JSON") from error
    if not isinstance(found, dict):
        raise Nonsense("a line is no object")
    return found


def _rows(lines: Sequence[str], queries: set[str]) -> list[list[str]]:
    """Rows of three or of TREC's four columns, without the header."""
    rows = []
    for line in lines:
        fields = line.split("\t") if line.count("\t") in (2, 3) else line.split()
        if len(fields) not in (3, 4) or (len(fields) == 3 and line.count("\t") != 2):
            raise Nonsense("a judgement has not three or four columns")
        rows.append([fields[0], *fields[-2:]])
    is_header = rows and not re.search(r"\d", rows[0][2]) and rows[0][0] not in queries
    return rows[1:] if is_header else rows


def _texts(objects: Sequence[Any], names: Sequence[str]) -> tuple[dict[str, str], int]:
    """Id -> text, and how many texts had half characters."""
    found: dict[str, str] = {}
    halves = 0
    for one in objects:
        if not isinstance(one, dict):
            raise Nonsense("an entry is no object")
        name = one.get("_id")
        if isinstance(name, bool) or not isinstance(name, (str, int)) or name == "" or HALF.search(str(name)):
            raise Nonsense(f"the _id {name!r:.60}")
        parts = ["" if one.get(field) is None else one[field] for field in names]
        if not all(isinstance(part, str) for part in parts):
            raise Nonsense("a text is no text")
        text = " ".join(parts).strip()
        halves += bool(HALF.search(text))
        text = HALF.sub("\ufffd", text)
        if found.get(str(name), text) != text:
            raise Nonsense(f"two texts with the _id {name!r:.60}")
        found[str(name)] = text
    return found, halves


def _judgements(rows: Sequence[Sequence[str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for query, document, grade in rows:
        if not re.fullmatch(r"[+-]?[0-9]+(\.0+)?", grade.strip()):
            raise Nonsense(f"the grade {grade!r:.60}")
        value = int(grade.strip().partition(".")[0])
        if found.setdefault(query, {}).setdefault(document, value) != value:
            raise Nonsense("a pair has two grades")
    return found


def _check(found: Meaning) -> None:
    """Refuse what makes every score meaningless, and note what makes it doubtful."""
    if not any(found.docs.values()):
        raise Nonsense("no document has a text")
    if missing := [query for query in found.qrels if not found.queries.get(query)]:
        raise Nonsense(f"no text of the judged query {missing[0]!r:.60}")
    pairs = [(query, doc) for query, judged in found.qrels.items() for doc, grade in judged.items() if grade > 0]
    if not any(doc in found.docs for _, doc in pairs):
        raise Nonsense("no relevant document is in the corpus")
    if any(query == doc and doc in found.docs for query, doc in pairs):
        found.doubts.append("query's own id")
    if sum(doc not in found.docs for _, doc in pairs) > MANY * len(pairs):
        found.doubts.append("not in the corpus")
    if sum(not text for text in found.docs.values()) > MANY * len(found.docs):
        found.doubts.append("documents have no text")
    if len(found.qrels) - len({query for query, _ in pairs}) > MANY * len(found.qrels):
        found.doubts.append("have no relevant document")
    words = [word for text in found.docs.values() for word in re.findall(r"\w+|[^\w\s]+", text)]
    if sum(word not in KNOWN for word in words) > 0.6 * len(words):
        found.doubts.append("unknown to the model's vocabulary")


KNOWN: set[str] = set()
"""The words that the tests' model knows; filled by the test."""
