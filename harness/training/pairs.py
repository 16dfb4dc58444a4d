"""Training pairs from data sets in the BEIR layout, with the test sets of the suite kept out of them.

A pair is a query, one relevant document, and one negative: a document judged not relevant where there is one, else
another document of the same source. Kept out are

- queries whose text is that of a test query of an excluded data set;
- documents that are, or largely repeat, a document judged relevant for such a query: at least half of their 8-grams of
  words occur in relevant documents (a text of fewer than 8 words must be all of a relevant text).

The validation split is by document: a share of the documents, drawn by hash, is neither a positive nor a negative in
training (nor is another document of the same text), and their queries are the validation queries.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from harness.config.entries import entry
from harness.data import beir, download, loading
from harness.data.dataset import Dataset
from harness.system.errors import HarnessError

log = logging.getLogger(__name__)
_GRAM = 8
_DRAWS = 100  # of a negative, before a query goes without
Triple = tuple[str, str, str]
"""The texts of a query, of a relevant document and of a negative."""


@dataclass(frozen=True)
class TrainingData:
    """What a model is trained and validated on.

    Attributes
    ----------
    triples : source -> (query, positive, negative) texts
    validation : held-out queries over their documents and others of the same sources
    removed : source -> {"queries": ..., "documents": ...} that an excluded data set has
    checked : the excluded data sets that were at hand
    """

    triples: dict[str, list[Triple]]
    validation: Dataset
    removed: dict[str, dict[str, int]]
    checked: list[str]

    @property
    def queries(self) -> dict[str, str]:
        """All query texts, named by themselves."""
        trained = (query for triples in self.triples.values() for query, _, _ in triples)
        return {text: text for text in sorted({*trained, *self.validation.queries.values()})}

    @property
    def documents(self) -> dict[str, str]:
        """All document texts, named by themselves."""
        trained = (text for triples in self.triples.values() for triple in triples for text in triple[1:])
        return {text: text for text in sorted({*trained, *self.validation.docs.values()})}

    @property
    def count(self) -> int:
        """Training pairs."""
        return sum(map(len, self.triples.values()))


class Excluded:
    """The test queries and the relevant documents of some data sets."""

    def __init__(self, tests: list[Dataset]) -> None:
        self.queries = {normal(text) for test in tests for text in test.queries.values()}
        self.grams: set[int] = set()
        for test in tests:
            relevant = {doc for judged in test.qrels.values() for doc, score in judged.items() if score >= 1}
            for doc in relevant & test.docs.keys():
                self.grams |= grams(test.docs[doc])

    def has_query(self, text: str) -> bool:
        """Whether it is a test query."""
        return normal(text) in self.queries

    def has_document(self, text: str) -> bool:
        """Whether at least half of it is in relevant documents."""
        found = grams(text)
        return 2 * len(found & self.grams) >= len(found)


def normal(text: str) -> str:
    """Words alone, in lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))


def grams(text: str) -> set[int]:
    """Hashes of the runs of `_GRAM` words of a text; of all of it, if it is shorter."""
    words = normal(text).split()
    return {hash(tuple(words[i : i + _GRAM])) for i in range(max(1, len(words) - _GRAM + 1))}


def load(options: dict[str, Any], data_dir: str | None, cache: Path) -> TrainingData:
    """The training data of an entry of conf/train_data.

    Raises
    ------
    HarnessError
        If a source is missing, or nothing is left to train or to validate on.
    """
    sources = options["sources"]
    if not sources and options.get("path"):
        sources = {Path(options["path"]).expanduser().resolve().name: options}
    if not sources:
        raise HarnessError("train_data names no sources: set train_data.path to a folder in the BEIR layout.")
    tests = list(_tests(options["exclude"], data_dir, cache))
    excluded = Excluded(tests)
    every = []
    for name, source in sources.items():
        path = loading.folder({"name": name, "path": source.get("path")}, data_dir, cache)
        every.append(_Source(beir.read_folder(name, path, source["split"], None), options, excluded))
    held_texts = {text for source in every for text in source.held_texts}
    triples = {source.name: source.triples(sources[source.name]["pairs"], held_texts) for source in every}
    held_out = [item for source in every for item in source.held_out]
    rest = {name: text for source in every for name, text in source.others.items()}
    removed = {source.name: source.removed for source in every}
    data = TrainingData(triples, _validation(held_out, rest, options), removed, [test.name for test in tests])
    if not data.count or not data.validation.queries:
        raise HarnessError(
            f"train_data={options['name']} has {data.count} training pairs and {len(data.validation.queries)} "
            "validation queries: expected some of both; give it more pairs, or another train_data.validation_share."
        )
    return data


class _Source:
    """One source, split into training and held-out documents."""

    def __init__(self, read: Dataset, options: dict[str, Any], excluded: Excluded) -> None:
        self.name, self.options = read.name, options
        banned = {doc for doc, text in read.docs.items() if excluded.has_document(text)}
        asked = {query for query, text in read.queries.items() if excluded.has_query(text)}
        self.removed = {"queries": len(asked), "documents": len(banned)}
        share = options["validation_share"]
        held = {doc for doc in read.docs if _draw(options["seed"], self.name, doc) < share} - banned
        self.docs = {doc: text for doc, text in read.docs.items() if doc not in banned and text}
        self.queries = [query for query in read.queries if query not in asked]
        self.queries.sort(key=lambda query: _draw(options["seed"], self.name, query))
        self.texts, self.qrels = read.queries, read.qrels
        self.held = held

    def _positives(self, query: str) -> list[str]:
        """Its relevant documents, if all of them may be used, else none."""
        judged = self.qrels[query]
        positives = [doc for doc, score in judged.items() if score >= 1]
        return positives if all(doc in self.docs for doc in positives) else []

    @property
    def held_texts(self) -> set[str]:
        """The texts of the held-out documents."""
        return {self.docs[doc] for doc in self.held if doc in self.docs}

    def triples(self, most: int, held_texts: set[str]) -> list[Triple]:
        """At most `most` queries with a relevant document and a negative, none of which has a held-out text."""
        trainable = {doc: text for doc, text in self.docs.items() if text not in held_texts}
        names = list(trainable)
        rng = np.random.default_rng([self.options["seed"], *self.name.encode()])
        found: list[Triple] = []
        for query in self.queries:
            positives = self._positives(query)
            if not positives or any(doc not in trainable for doc in positives):
                continue
            relevant = {self.docs[doc] for doc in positives}
            judged = [doc for doc, score in self.qrels[query].items() if score < 1]
            negatives = [trainable[doc] for doc in judged if doc in trainable and trainable[doc] not in relevant]
            for _ in range(_DRAWS):
                if negatives:
                    break
                drawn = trainable[names[rng.integers(len(names))]]
                negatives = [drawn] if drawn not in relevant else []
            if negatives:
                negative = negatives[rng.integers(len(negatives))]
                found.append((self.texts[query], self.docs[positives[0]], negative))
            if len(found) == most:
                break
        return found

    @property
    def held_out(self) -> list[tuple[str, str, dict[str, str]]]:
        """(name, query, relevant documents) of queries all of whose relevant documents are held out."""
        found = []
        for query in self.queries:
            positives = self._positives(query)
            if positives and all(doc in self.held for doc in positives):
                texts = {f"{self.name}/{doc}": self.docs[doc] for doc in positives}
                found.append((f"{self.name}/{query}", self.texts[query], texts))
        return found

    @property
    def others(self) -> dict[str, str]:
        """All usable documents."""
        return {f"{self.name}/{doc}": text for doc, text in self.docs.items()}


def _validation(
    held_out: list[tuple[str, str, dict[str, str]]], rest: dict[str, str], options: dict[str, Any]
) -> Dataset:
    """At most as many queries and documents as asked for, each source in proportion."""
    seed = options["seed"]
    chosen = sorted(held_out, key=lambda item: _draw(seed, "query", item[0]))[: options["validation_queries"]]
    docs = {name: text for _, _, relevant in chosen for name, text in relevant.items()}
    for name in sorted(rest, key=lambda name: _draw(seed, "document", name)):
        if len(docs) >= options["validation_documents"]:
            break
        docs.setdefault(name, rest[name])
    return Dataset(
        f"{options['name']}-validation",
        dict(sorted(docs.items(), reverse=True)),
        {name: text for name, text, _ in chosen},
        {name: dict.fromkeys(relevant, 1) for name, _, relevant in chosen},
    )


def _tests(names: list[str], data_dir: str | None, cache: Path) -> list[Dataset]:
    found = []
    for name in names:
        try:
            found.append(loading.load(entry("dataset", name), data_dir, cache))
        except download.Absent:
            log.warning("train_data: the data set %s is not at hand: nothing of it can be kept out", name)
    return found


def _draw(seed: int, *words: str) -> float:
    """A number in [0, 1) that depends on the words alone."""
    return int.from_bytes(sha256("\0".join([str(seed), *words]).encode()).digest()[:8], "big") / 2**64
