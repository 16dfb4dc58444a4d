"""Edits: random changes of what a command reads. Each is a function that makes its change and says it in words.

The kinds are in `edits_of_texts`, `edits_of_judgements`, `edits_of_files`, `edits_of_models`, `edits_of_words` and
`edits_of_records`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from meanings import Meaning, of_files, of_objects
from tiny import WORDS

T = TypeVar("T")
HEADER = ("query-id", "corpus-id", "score")


@dataclass
class Folder:
    """A data set that is being edited: first its objects and rows, then the bytes of its files.

    Attributes
    ----------
    corpus, queries : JSON values, one for each line
    rows : query, document, grade
    header : the first line of the judgements; None: there is none
    names : what a refusal may name: files, ids
    is_read : whether all edits are such that the data set must be read (docs/inputs.md)
    by_bytes : whether the meaning is that of the bytes, not that of the objects
    wrong : why an edit leaves no meaning; empty: it does not
    """

    path: Path
    corpus: list[Any]
    queries: list[Any]
    rows: list[list[str]]
    header: tuple[str, ...] | None = HEADER
    names: set[str] = field(default_factory=set)
    is_read: bool = True
    by_bytes: bool = False
    wrong: str = ""

    def file(self, name: str) -> Path:
        """The file that is called `corpus`, `queries` or `judgements`; a refusal may name it from now on."""
        path = self.path / {"judgements": "qrels/test.tsv"}.get(name, f"{name}.jsonl")
        self.names.add(path.name)
        return path

    def write(self) -> None:
        """Write the objects and rows as files."""
        (self.path / "qrels").mkdir(parents=True)
        for name, objects in (("corpus", self.corpus), ("queries", self.queries)):
            lines = [json.dumps(one, ensure_ascii=has_halves(one)) for one in objects]
            (self.path / f"{name}.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())
        rows = [self.header, *self.rows] if self.header else self.rows
        text = "".join("\t".join(row) + "\n" for row in rows)
        (self.path / "qrels" / "test.tsv").write_bytes(text.encode("utf-8", "surrogatepass"))

    def meaning(self) -> Meaning:
        """What is meant."""
        if self.wrong:
            return Meaning(wrong=self.wrong)
        return of_files(self.path) if self.by_bytes else of_objects(self.corpus, self.queries, self.rows)


def has_halves(value: Any) -> bool:
    """Whether a JSON value has half a surrogate pair, which only an escape can write."""
    return any("\ud800" <= letter <= "\udfff" for letter in json.dumps(value, ensure_ascii=False))


DataEdit = Callable[[Folder, np.random.Generator], str]
"""Changes a folder, and gives the change in words."""


def one_of(rng: np.random.Generator, values: Sequence[T]) -> T:
    """One of some values, whatever their types."""
    return values[int(rng.integers(len(values)))]


def drawn(kinds: Sequence[Callable[..., str]], subject: Any, rng: np.random.Generator, twice: float = 0.2) -> str:
    """Make one edit, or two; an edit for which an earlier one left nothing is another one."""
    words = []
    while len(words) < 1 + (rng.random() < twice):
        try:
            words.append(one_of(rng, kinds)(subject, rng))
        except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError):
            if not words:
                raise
            break
    return "; then ".join(words)


def base(path: Path, seed: int = 5) -> Folder:
    """24 documents, some with titles or letters beyond ASCII, 6 queries (one is a document), graded judgements."""
    rng = np.random.default_rng(seed)

    def words(least: int, most: int) -> str:
        return " ".join(rng.choice(WORDS, int(rng.integers(least, most))))

    corpus = [{"_id": f"d{i}", "title": words(1, 4) if i % 3 else "", "text": words(3, 15)} for i in range(24)]
    corpus[3]["text"] += " café naïve"
    corpus[7]["text"] += ". 流れ 🛩"
    queries = [{"_id": f"q{i}", "text": words(2, 6)} for i in range(5)] + [{"_id": "d9", "text": corpus[9]["text"]}]
    rows = []
    for query in queries:
        drawn = [doc for doc in rng.permutation(24)[:6] if f"d{doc}" != query["_id"]]
        rows += [[query["_id"], f"d{doc}", str(grade)] for doc, grade in zip(drawn, (2, 1, 1, 1, 0, 3), strict=False)]
    return Folder(path, corpus, queries, rows)
