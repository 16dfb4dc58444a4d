"""Training pairs from data sets in the BEIR layout, without the test sets of the suite.

A pair is a query, one relevant document, and one or more negatives: documents judged not relevant, then others of the
same source. Test queries and their relevant documents are removed (`harness.training.excluded`).

The validation split is by document. A share of the documents, drawn by hash, is held out: neither these documents nor
others with the same text are positives or negatives in training. The validation queries are those whose relevant
documents are all held out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.config.entries import entry
from harness.data import beir, download, loading
from harness.data.dataset import Dataset
from harness.system.draws import number
from harness.system.errors import HarnessError
from harness.system.messages import warn_once
from harness.system.paths import user_path
from harness.system.progress import bar
from harness.training.excluded import Excluded

log = logging.getLogger(__name__)
_DRAWS = 100  # attempts to draw a negative, before a query is skipped
Triple = tuple[str, ...]
"""The texts of a query, a relevant document and a negative, or as many negatives as ``train_data.negatives`` says."""


@dataclass(frozen=True)
class TrainingData:
    """The data for training and validation.

    Attributes
    ----------
    triples : source -> (query, positive, negative) texts
    validation : held-out queries, with their documents and others of the same sources
    removed : source -> {"queries": ..., "documents": ...}, the numbers that were removed because of excluded data sets
    checked : names of the excluded data sets that were available
    lengths : source -> tokens per query, for the sources that name a number
    """

    triples: dict[str, list[Triple]]
    validation: Dataset
    removed: dict[str, dict[str, int]]
    checked: list[str]
    lengths: dict[str, int] = field(default_factory=dict)

    def texts(self, is_query: bool) -> list[list[str]]:
        """The texts of a side: those of each source, in order, then the others of the validation.

        A source's texts are the same whichever sources stand beside it, so that they are encoded once for all choices.
        """
        part = slice(1) if is_query else slice(1, None)
        sources = [{text for triple in triples for text in triple[part]} for triples in self.triples.values()]
        held_out = self.validation.queries if is_query else self.validation.docs
        return [sorted(some) for some in (*sources, set(held_out.values()).difference(*sources))]

    @property
    def query_lengths(self) -> dict[str, int]:
        """Query -> its number of tokens, for the queries of the sources in `lengths`."""
        held_out = ((name.split("/")[0], text) for name, text in self.validation.queries.items())
        trained = ((source, triple[0]) for source, triples in self.triples.items() for triple in triples)
        return {text: self.lengths[source] for source, text in (*held_out, *trained) if source in self.lengths}

    @property
    def count(self) -> int:
        """Number of training pairs."""
        return sum(map(len, self.triples.values()))


def load(options: dict[str, Any], data_dir: str | None, cache: Path, show: bool = False) -> TrainingData:
    """The training data of an entry of conf/train_data; `show`: whether progress is shown.

    Raises
    ------
    HarnessError
        If a source is missing, or no pairs are left for training or for validation.
    """
    sources = options["sources"]
    if not sources and options.get("path"):
        sources = {user_path(options["path"]).resolve().name: options}
    if not sources:
        raise HarnessError("train_data names no sources: set train_data.path to a folder in the BEIR layout.")
    tests = list(_tests(options["exclude"], data_dir, cache, show))
    read = []
    with bar("select training pairs", len(sources), show, "sources") as progress:
        excluded = Excluded(tests)
        for name, source in sources.items():
            path = loading.folder({"name": name, "path": source.get("path")}, data_dir, cache, show)
            option = "train_data" if source is options else f"train_data.sources.{name}"
            read.append(_Source(beir.read_folder(name, path, source["split"], None, option=option), options, excluded))
            progress.update()
    held_texts = {text for source in read for text in source.held_texts}
    triples = {source.name: source.triples(sources[source.name]["pairs"], held_texts) for source in read}
    held_out = [query for source in read for query in source.held_out]
    rest = {name: text for source in read for name, text in source.others.items()}
    removed = {source.name: source.removed for source in read}
    lengths = {name: source["query_length"] for name, source in sources.items() if source.get("query_length")}
    checked = [test.name for test in tests]
    data = TrainingData(triples, _validation(held_out, rest, options), removed, checked, lengths)
    if not data.count or not data.validation.queries:
        raise HarnessError(
            f"train_data={options['name']} has {data.count} training pairs and {len(data.validation.queries)} "
            "validation queries, expected at least one of each: add pairs, or change train_data.validation_share."
        )
    return data


class _Source:
    """One source of pairs, its documents split into training and held-out ones."""

    def __init__(self, data: Dataset, options: dict[str, Any], excluded: Excluded) -> None:
        self.name, self.options = data.name, options
        banned = {doc for doc, text in data.docs.items() if excluded.has_document(text)}
        tested = {query for query, text in data.queries.items() if excluded.has_query(text)}
        self.removed = {"queries": len(tested), "documents": len(banned)}
        share = options["validation_share"]
        self.held = {doc for doc in data.docs if _draw(options["seed"], self.name, doc) < share} - banned
        self.docs = {doc: text for doc, text in data.docs.items() if doc not in banned and text}
        self.queries = [query for query in data.queries if query not in tested]
        self.queries.sort(key=lambda query: _draw(options["seed"], self.name, query))
        self.texts, self.qrels = data.queries, data.qrels

    def _positives(self, query: str) -> list[str]:
        """The relevant documents of a query; none if one of them was removed."""
        judged = self.qrels[query]
        positives = [doc for doc, score in judged.items() if score >= 1]
        return positives if all(doc in self.docs for doc in positives) else []

    @property
    def held_texts(self) -> set[str]:
        """The texts of the held-out documents."""
        return {self.docs[doc] for doc in self.held if doc in self.docs}

    def triples(self, most: int, held_texts: set[str]) -> list[Triple]:
        """At most `most` queries with a relevant document and negatives; no document has a held-out text."""
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
            judged_texts = [trainable[doc] for doc in judged if doc in trainable and trainable[doc] not in relevant]
            negatives: list[str] = []
            for _ in range(self.options["negatives"]):
                left = [text for text in judged_texts if text not in negatives]
                for _ in range(_DRAWS):
                    if left:
                        break
                    drawn = trainable[names[rng.integers(len(names))]]
                    left = [drawn] if drawn not in relevant and drawn not in negatives else []
                if left:
                    negatives.append(left[rng.integers(len(left))])
            if len(negatives) == self.options["negatives"]:
                found.append((self.texts[query], self.docs[positives[0]], *negatives))
            if len(found) == most:
                break
        return found

    @property
    def held_out(self) -> list[tuple[str, str, dict[str, str]]]:
        """Queries whose relevant documents are all held out: (name, text, name of document -> its text)."""
        found = []
        for query in self.queries:
            positives = self._positives(query)
            if positives and all(doc in self.held for doc in positives):
                texts = {f"{self.name}/{doc}": self.docs[doc] for doc in positives}
                found.append((f"{self.name}/{query}", self.texts[query], texts))
        return found

    @property
    def others(self) -> dict[str, str]:
        """Name -> text of all documents that were not removed."""
        return {f"{self.name}/{doc}": text for doc, text in self.docs.items()}


def _validation(
    held_out: list[tuple[str, str, dict[str, str]]], rest: dict[str, str], options: dict[str, Any]
) -> Dataset:
    """The validation split: at most as many queries and documents as configured, in proportion to the sources."""
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


def _tests(names: list[str], data_dir: str | None, cache: Path, show: bool) -> list[Dataset]:
    """The excluded data sets that are available."""
    found = []
    for name in names:
        try:
            found.append(loading.load(entry("dataset", name), data_dir, cache, show))
        except download.Absent:
            warn_once(log, "train_data: the data set %s is not available, so its test set cannot be left out", name)
    return found


def _draw(seed: int, *words: str) -> float:
    """A number in [0, 1) that depends on the seed and the words alone."""
    return number(str(seed), *words) / 2**64
