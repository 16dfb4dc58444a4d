"""Testbed: one model on one data set, with all that its cells share: texts, token vectors, means, resources."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.config import shards
from harness.config.entries import entry
from harness.config.options import CenterOptions, RunOptions
from harness.data import plausible
from harness.data.dataset import Dataset
from harness.evaluation.ndcg import Evaluator
from harness.measure import artifacts, document_mean, query_mean
from harness.measure.failing import Failures
from harness.measure.query_mean import QueryMean
from harness.measure.sources import read_dataset, token_source
from harness.methods.method import DOCUMENTS, QUERIES, Method
from harness.ranking.resources import Resources
from harness.records import notes
from harness.system import locks
from harness.system.device import device
from harness.system.errors import HarnessError
from harness.system.messages import warn_once
from harness.vectors import centering, pooling
from harness.vectors.doubtful import doubts
from harness.vectors.source import TokenSource
from harness.vectors.store import TokenStore, TokenVectors

if TYPE_CHECKING:
    from harness.measure.cells import Cell

log = logging.getLogger(__name__)


class Testbed:
    """A model on a data set; texts are encoded when their vectors are first asked for.

    Parameters
    ----------
    dataset, source
        Instead of those that the options name.

    Attributes
    ----------
    dataset_name, model_name : as in the key of a cell
    source : where token vectors come from
    rows : the documents of the shard
    started : when measuring began (UTC, ISO 8601)
    """

    def __init__(
        self,
        options: RunOptions,
        failures: Failures | None = None,
        dataset: Dataset | None = None,
        source: TokenSource | None = None,
    ) -> None:
        self.options, self.failures = options, failures or Failures()
        self.resources = Resources(
            device(options.device), options.block_bytes, options.cache, options.progress, options.models_dir
        )
        self.dataset_name, self.model_name = options.dataset_name, options.model.variant
        self.dataset = dataset or read_dataset(
            json.dumps(options.dataset), options.data_dir, options.cache, options.progress
        )
        self.shard = options.shard
        self.rows = self.shard.rows(len(self.dataset.docs))
        if not self.rows:
            raise HarnessError(
                f"shard={self.shard.name}: the {len(self.dataset.docs)} documents of {self.dataset_name} are "
                f"{-(-len(self.dataset.docs) // shards.CHUNK)} chunks of {shards.CHUNK}: take at most as many shards."
            )
        self.source = source or token_source(options, self.dataset, self.resources)
        self._warn()
        self.started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._query_means: dict[str, QueryMean] = {}

    @classmethod
    @contextmanager
    def open(cls, options: RunOptions, failures: Failures) -> Iterator[Testbed]:
        """A testbed whose cells are announced as being measured for the time of a block (`harness.system.locks`)."""
        if options.threads:
            torch.set_num_threads(options.threads)
        testbed = cls(options, failures)
        with locks.measuring(options.cache, testbed.dataset_name, testbed.model_name):
            yield testbed

    def collect(self, cells: Sequence[Cell]) -> AbstractContextManager[None]:
        """Note an error of a block for each of these cells (`harness.measure.failing`)."""
        title = "\n  ".join(dict.fromkeys(cell.title for cell in cells))  # draws of a cell have one title
        return self.failures.collect(self.options.results, [cell.key for cell in cells], title)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What every score of this testbed depends on."""
        return {
            "dataset": self.dataset.sha256,
            **self.source.inputs,
            "model": self.options.model.identity(self.source.query_length),
        }

    @property
    def notes_on_texts(self) -> list[str]:
        """What a reader must know of scores that no token vector had a part in."""
        return [notes.DATA + line for line in self.dataset.notes]

    @cached_property
    def notes(self) -> list[str]:
        """What a reader of its scores must know (`harness.records.notes`); it loads the model's transformer once."""
        of_model, remark = self.source.notes(), self.source.remark
        doubtful = [*doubts(self.docs, "documents"), *doubts(self.queries, "queries")]
        doubtful += self.source.notes_on(self.docs, self.queries, self.dataset)
        for line in [*of_model, *doubtful]:
            warn_once(log, "%s: %s", self.options.title, line)
        of_pair = [notes.PAIR + line for line in doubtful]
        return [
            *([remark] if remark else []),
            *of_model,
            *self.notes_on_texts,
            *of_pair,
        ]

    def _warn(self) -> None:
        """Warn, before any work, of what is known from folders and files alone."""
        for line in self.source.warnings():
            warn_once(log, "%s: %s", self.options.title, line)
        for line in self.dataset.notes:
            warn_once(log, "%s: %s", self.dataset_name, line)

    @cached_property
    def counts(self) -> plausible.Counts:
        """Oddities of the data set, counted."""
        return plausible.counted(self.dataset)

    @cached_property
    def artifacts(self) -> Path:
        """The folder of what the steps of its cells found."""
        return self._artifacts(self.resources.device.type)

    @property
    def artifacts_anywhere(self) -> list[Path]:
        """The same for each type of device that ``device=auto`` may choose on another machine."""
        types = ("cpu", "cuda") if self.options.device == "auto" else (self.resources.device.type,)
        return [self._artifacts(kind) for kind in types]

    def _artifacts(self, kind: str) -> Path:
        return artifacts.testbed_folder(self.options.cache, self.dataset_name, self.model_name, self.identity, kind)

    @property
    def is_encoded(self) -> bool:
        """Whether all its documents are encoded."""
        return self.source.is_encoded(self.dataset.docs, self.dataset_name)

    def help_encode(self) -> None:
        """Encode documents that no other process is encoding, until there are none left."""
        self.source.help_encode(self.dataset.docs, self.dataset_name)

    @cached_property
    def docs(self) -> TokenStore:
        """Token vectors of the shard's documents, pooled if that is asked for."""
        factor, ids = self.options.model.pool_factor, list(self.dataset.docs)[self.rows.start : self.rows.stop]
        return pooling.pooled(self.encoded_docs, ids, factor, self.resources.show) if factor else self.encoded_docs

    @cached_property
    def encoded_docs(self) -> TokenStore:
        """Token vectors of the shard's documents as the model gives them."""
        return self.source.encode(self.dataset.docs, self.dataset_name, False, self.shard)

    @cached_property
    def queries(self) -> TokenStore:
        """Token vectors of the judged queries."""
        return self.source.encode(self.dataset.queries, self.dataset_name, True)

    @cached_property
    def evaluator(self) -> Evaluator:
        """Evaluates rankings of all documents."""
        return Evaluator(self.dataset)

    @cached_property
    def document_mean(self) -> Float[np.ndarray, " dim"]:
        """mu_D: the mean of all document token vectors, also on a shard."""
        return document_mean.of(self.docs, self.shard)

    @property
    def encode_seconds(self) -> dict[str, float]:
        """What encoding and pooling took, whenever they were done; given token vectors took nothing here."""
        pooling_too = {"pool_documents": self.docs.meta["seconds"]} if self.options.model.pool_factor else {}
        stores = {"encode_queries": self.queries, "encode_documents": self.encoded_docs}
        encoding = stores if self.source.encodes else {}
        return {**{phase: store.meta["seconds"] for phase, store in encoding.items()}, **pooling_too}

    @property
    def token_facts(self) -> dict[str, int]:
        """How many token vectors its documents have, and their bytes."""
        return {"tokens": int(self.docs.offsets[-1]), "token_bytes": self.docs.nbytes}

    @property
    def self_rows(self) -> Int[np.ndarray, " queries"]:
        """The row (among all documents) of the document that a query may not find, as it has its id; -1: none."""
        return self.dataset.self_rows

    @property
    def self_rows_of_shard(self) -> Int[np.ndarray, " queries"]:
        """The same as rows of the shard; -1 also for documents of other shards."""
        inside = (self.self_rows >= self.rows.start) & (self.self_rows < self.rows.stop)
        return np.where(inside, self.self_rows - self.rows.start, -1)

    def query_mean(self, options: CenterOptions) -> QueryMean | None:
        """The queries for mu_Q, chosen once; None for a centering that does not subtract it."""
        if not centering.KINDS[options.name].needs_query_mean:
            return None
        key = json.dumps(options.given)
        if key not in self._query_means:
            self._query_means[key] = query_mean.choose(self.options, self.dataset, options)
        return self._query_means[key]

    def teachers(self, method: Method) -> QueryMean | None:
        """The queries that a method learns from, chosen as those of mu_Q are; None for one that learns from none."""
        if method.learn == DOCUMENTS:
            return None
        found = self.query_mean(CenterOptions.of({**entry("center", "own"), "mean_of": method.learn}))
        if method.learn == QUERIES and found and found.are_pseudo:
            line = "%s: no queries but the evaluated ones, so that %s learns from pseudo-queries (method.learn=queries)"
            warn_once(log, line, self.options.title, method.title)
        return found

    def encode_mean(self, mean: QueryMean) -> TokenStore:
        """Token vectors of the queries of mu_Q, at the same query length as the evaluated ones."""
        return self.source.encode(dict(mean.texts), f"{self.dataset_name}-mean", True)

    def seen_queries(self, options: CenterOptions) -> TokenVectors:
        """Token vectors of the judged queries as a first stage sees them: all tokens, or a part."""
        return self.seen(options, self.queries, self.dataset.queries)

    def seen(self, options: CenterOptions, store: TokenStore, texts: Mapping[str, str]) -> TokenVectors:
        """Token vectors of some queries, in the order of their texts, as a first stage sees them."""
        if options.query_tokens == "all":
            return store
        return self.source.part_of(store, texts, options.query_tokens)

    def centering(self, center: CenterOptions, mean: QueryMean | None) -> centering.Centering:
        """What a centering subtracts from the token vectors here; `mean`: the queries of mu_Q (`query_mean`)."""
        kind = centering.KINDS[center.name]
        mu_d = self.document_mean if kind.needs_document_mean else None
        queries = self.seen(center, self.encode_mean(mean), mean.texts) if mean else None
        return centering.fit(center.name, mu_d, queries, center.renormalize, center.share, center.document_share)


def testbed_of(options: dict[str, Any], dataset: dict[str, Any]) -> Testbed:
    """The testbed of a configuration on one of its data sets."""
    return Testbed(RunOptions.of(options, dataset))
