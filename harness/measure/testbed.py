"""Testbed: one model on one data set, with everything that its cells share (texts, token vectors, resources)."""

from __future__ import annotations

import json
import logging
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from harness.config import shards
from harness.config.entries import entry
from harness.config.names import model_name, safe_name
from harness.data import dataset, download, loading
from harness.evaluation.ndcg import Evaluator
from harness.measure import artifacts
from harness.measure.query_mean import QueryMean
from harness.models.checkpoint import Checkpoint, locate
from harness.ranking.resources import Resources
from harness.system.device import device
from harness.system.errors import HarnessError
from harness.system.files import read_arrays, write_arrays
from harness.system.messages import warn_once
from harness.vectors.centering import mean_of, token_mean, token_sums
from harness.vectors.encode import Encoder
from harness.vectors.store import TokenStore

log = logging.getLogger(__name__)


Options = dict[str, Any]


class Testbed:
    """A (model, data set); texts are read and tokens encoded when first asked for."""

    def __init__(self, config: Options, dataset_options: Options) -> None:
        self.config, self.dataset_options = config, dataset_options
        self.cache = Path(config["cache_dir"]).expanduser()
        self.resources = Resources(device(config["device"]), config["memory_mb"] << 20, self.cache, config["progress"])
        self.dataset_name = safe_name("dataset", dataset_options["name"])
        self.model_name = model_name(config["model"])
        self.dataset = _dataset(json.dumps(dataset_options), config["data_dir"], self.cache, config["progress"])
        self.checkpoint = locate(config["model"], config["models_dir"])
        self.shard = shards.parse(config["shard"])
        self.rows = self.shard.rows(len(self.dataset.docs))
        if not self.rows:
            raise HarnessError(
                f"shard={self.shard.name}: the {len(self.dataset.docs)} documents of {self.dataset_name} are "
                f"{-(-len(self.dataset.docs) // shards.CHUNK)} chunks of {shards.CHUNK}: take at most as many shards."
            )
        self.query_length = config["model"]["query_length"] or self.dataset.query_length
        self._encoder = _encoder(json.dumps(config["model"]), self.checkpoint, self.resources, config["batch_tokens"])

    @cached_property
    def identity(self) -> Options:
        """What every score of this testbed depends on."""
        options = ("document_length", "query_expansion", "dtype", "attention", "seed")
        return {
            "dataset": self.dataset.sha256,
            "weights": self.checkpoint.sha256,
            "model": {**{name: self.config["model"][name] for name in options}, "query_length": self.query_length},
        }

    @cached_property
    def stages(self) -> Path:
        """Folder of what the steps of its cells found."""
        return self._stages(self.resources.device.type)

    @property
    def stages_anywhere(self) -> list[Path]:
        """The same for each kind of device that the option ``device`` may come to on another machine."""
        kinds = ("cpu", "cuda") if self.config["device"] == "auto" else (self.resources.device.type,)
        return [self._stages(kind) for kind in kinds]

    def _stages(self, kind: str) -> Path:
        return artifacts.testbed_folder(self.cache, self.dataset_name, self.model_name, self.identity, kind)

    @property
    def is_encoded(self) -> bool:
        """Whether the model has seen all its documents, so that there is nothing to `help_encode`."""
        return self._encoder.is_encoded(self.dataset.docs, self.dataset_name, self.query_length)

    def help_encode(self) -> None:
        """Encode documents that no other process is encoding, until there are none left."""
        self._encoder.help_encode(self.dataset.docs, self.dataset_name, self.query_length)

    @cached_property
    def docs(self) -> TokenStore:
        """Token vectors of the documents, of the shard's if there is one."""
        return self._encoder.encode(self.dataset.docs, self.dataset_name, False, self.query_length, self.shard)

    @cached_property
    def queries(self) -> TokenStore:
        """Token vectors of the judged queries."""
        return self._encoder.encode(self.dataset.queries, self.dataset_name, True, self.query_length)

    @cached_property
    def evaluator(self) -> Evaluator:
        """Evaluates rankings of this data set."""
        return Evaluator(self.dataset)

    @cached_property
    def document_mean(self) -> np.ndarray:
        """mu_D: mean over all document token vectors, float32 [dim].

        A shard keeps its sums in a small file beside its token vectors; the mean needs those of all shards.
        """
        if self.shard.is_whole:
            return token_mean(self.docs)
        kept = [
            self.docs.path.with_name(self.docs.path.name.removesuffix(self.shard.suffix) + f"{shard.suffix}.sums.npz")
            for shard in self.shard.all
        ]
        own = kept[self.shard.number - 1]
        if not own.exists():
            write_arrays(own, sums=token_sums(self.docs), tokens=self.docs.offsets[-1], name=np.array(own.name))
        missing = [shard.name for shard, path in zip(self.shard.all, kept, strict=True) if not path.exists()]
        if missing:
            raise HarnessError(
                f"the mean of the documents needs the sums of shard {', '.join(missing)}: run those shards too (or "
                f"copy their *.sums.npz to {kept[0].parent}), then run shard={self.shard.name} again; its token "
                "vectors are kept."
            )
        read = [read_arrays(path) for path in kept]
        for path, one in zip(kept, read, strict=True):
            if str(one.get("name")) != path.name:
                raise HarnessError(f"{path} is damaged (it is {one.get('name')}): delete it and run its shard again.")
        return mean_of([one["sums"] for one in read], sum(int(one["tokens"]) for one in read))

    @property
    def encode_seconds(self) -> dict[str, float]:
        """What encoding took, whenever it was done."""
        return {"encode_queries": self.queries.meta["seconds"], "encode_documents": self.docs.meta["seconds"]}

    @cached_property
    def self_rows(self) -> np.ndarray:
        """int64 [queries]: the row (of all documents) of the one that has the query's id, -1 if none."""
        rows = {document: row for row, document in enumerate(self.dataset.docs)}
        return np.array([rows.get(query, -1) for query in self.dataset.queries], dtype=np.int64)

    @property
    def self_rows_of_shard(self) -> np.ndarray:
        """The same as rows of the shard; -1 also for documents of other shards."""
        inside = (self.self_rows >= self.rows.start) & (self.self_rows < self.rows.stop)
        return np.where(inside, self.self_rows - self.rows.start, -1)

    def query_mean(self, centering: Options) -> QueryMean:
        """Queries for mu_Q: of the set's other split, else of other sets' other splits, else (labelled) these."""
        if self.dataset.other_queries:
            source, texts = f"{self.dataset_name}/{self.dataset.other_split}", self.dataset.other_queries
        else:
            source, texts = self._other_sets(centering["fallback"])
        chosen = sorted(texts, key=lambda query: sha256(query.encode()).digest())[: centering["max_queries"]]
        what = f"{len(chosen)} of {len(texts)} queries of {source}"
        if not texts:
            chosen, texts = list(self.dataset.queries), self.dataset.queries
            what = f"transductive: the {len(chosen)} evaluated queries themselves"
            warn_once(log, "%s: mu_Q is %s, as no other queries are available", self.dataset_name, what)
        return QueryMean(what, {query: texts[query] for query in chosen})

    def encode_mean(self, mean: QueryMean) -> TokenStore:
        """Token vectors of the queries of mu_Q, of the same query length as the evaluated ones."""
        return self._encoder.encode(mean.texts, f"{self.dataset_name}-mean", True, self.query_length)

    def _other_sets(self, names: list[str]) -> tuple[str, dict[str, str]]:
        evaluated = {dataset.plain(text) for text in self.dataset.queries.values()}
        sources, texts = [], {}
        for name in names:
            try:
                options = json.dumps(entry("dataset", name))
                other = _dataset(options, self.config["data_dir"], self.cache, self.config["progress"])
            except download.Absent:  # the next one; the record names what was used
                continue
            usable = {f"{name}/{q}": t for q, t in other.other_queries.items() if dataset.plain(t) not in evaluated}
            if usable and name != self.dataset_name:
                sources.append(f"{name}/{other.other_split}")
                texts.update(usable)
        return " and ".join(sources), texts


@lru_cache(maxsize=4)
def _dataset(options: str, data_dir: str | None, cache: Path, show: bool) -> dataset.Dataset:
    """A data set, read once for the cells of a sweep."""
    return loading.load(json.loads(options), data_dir, cache, show)


@lru_cache(maxsize=1)
def _encoder(model: str, checkpoint: Checkpoint, resources: Resources, batch_tokens: int | None) -> Encoder:
    """An encoder, whose model is loaded once for the cells of a sweep."""
    return Encoder(json.loads(model), checkpoint, resources.cache, resources.device, batch_tokens, resources.show)
