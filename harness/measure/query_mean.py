"""The queries whose mean token vector is mu_Q (`harness.vectors.centering`).

They come from the data set's own train or dev split; else from those of other data sets, if the option ``fallback``
names some; else they are pseudo-queries (`harness.measure.pseudo_queries`), as they always are with
``center.mean_of=pseudo_queries``. No evaluated query is ever among them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from harness.config.entries import entry
from harness.config.options import CenterOptions, RunOptions
from harness.data.dataset import Dataset, plain
from harness.data.download import Absent
from harness.measure import pseudo_queries
from harness.measure.sources import read_dataset
from harness.system.files import digest


@dataclass(frozen=True)
class QueryMean:
    """The queries whose mean token vector is mu_Q.

    Attributes
    ----------
    source : where they come from, in words
    texts : query id -> text
    are_pseudo : whether they are snippets of the corpus, not queries
    """

    source: str
    texts: Mapping[str, str]
    are_pseudo: bool = False

    @property
    def sha256(self) -> str:
        """The digest of the texts and their order."""
        return digest(list(self.texts.items()))


def choose(options: RunOptions, dataset: Dataset, centering: CenterOptions) -> QueryMean:
    """The queries for mu_Q on a data set: the first `max_queries` in the order of the sha256 of their ids."""
    if centering.mean_of == "pseudo_queries":
        return _pseudo_queries(dataset, centering)
    if dataset.other_queries:
        source, texts = f"{options.dataset_name}/{dataset.other_split}", dataset.other_queries
    else:
        source, texts = _of_other_sets(options, dataset, centering)
    if not texts:
        return _pseudo_queries(dataset, centering)
    chosen = sorted(texts, key=lambda query: sha256(query.encode()).digest())[: centering.max_queries]
    return QueryMean(f"{len(chosen)} of {len(texts)} queries of {source}", {query: texts[query] for query in chosen})


def _pseudo_queries(dataset: Dataset, centering: CenterOptions) -> QueryMean:
    lengths = sorted(len(text.split()) for text in dataset.queries.values())
    found = pseudo_queries.snippets(dataset.docs, lengths, centering.max_queries or len(dataset.docs))
    source = f"{len(found)} pseudo-queries, snippets of the corpus as long as the evaluated queries"
    return QueryMean(source, found, are_pseudo=True)


def _of_other_sets(options: RunOptions, dataset: Dataset, centering: CenterOptions) -> tuple[str, dict[str, str]]:
    """Queries of the fallback sets that are not evaluated, and where they come from; absent sets are skipped."""
    evaluated = {plain(text) for text in dataset.queries.values()}
    sources, texts = [], {}
    for name in centering.fallback:
        try:
            other = read_dataset(json.dumps(entry("dataset", name)), options.data_dir, options.cache, options.progress)
        except Absent:  # the record names the sets that were used
            continue
        usable = {f"{name}/{q}": t for q, t in other.other_queries.items() if plain(t) not in evaluated}
        if usable and name != options.dataset_name:
            sources.append(f"{name}/{other.other_split}")
            texts.update(usable)
    return " and ".join(sources), texts
