"""Options behind the door: what `harness.config.compose` has checked, as frozen dataclasses.

Each keeps the mapping that it was made from (`given`), which records and names of variants are made of, and gives the
part of it that a score depends on (`identity`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config import seeds
from harness.config.entries import VECTORS, default_results, entry_of_folder
from harness.config.measures import Measure, further
from harness.config.names import encoder_name, model_name, safe_name, variant
from harness.config.seeds import Seeds
from harness.config.shards import Shard, parse
from harness.system.paths import user_path

_LATER = {"query_tokens": "all", "mean_of": "queries"}
"""Options of centerings that records of before do not have, with what was then so."""
FLAT = "flat"
"""The index that is none: the method searches its codes itself. No name or identity has it."""
_SCORED = ("document_length", "query_expansion", "dtype", "attention", "seed")


@dataclass(frozen=True)
class MethodOptions:
    """An entry of conf/method, with the options that the user changed.

    Attributes
    ----------
    seeds : of its independent draws, at least one; None for a method without random numbers
    given : all other options; ``index`` has those of its index, unless that is ``flat``
    """

    name: str
    seeds: Seeds
    given: dict[str, Any]

    @classmethod
    def of(cls, given: dict[str, Any], index: dict[str, Any] | None = None) -> MethodOptions:
        """The options of one method, and of the entry of conf/index that keeps its codes."""
        options = {name: value for name, value in given.items() if name != "seeds"}
        if index and index["name"] != FLAT:
            options["index"] = index
        return cls(given["name"], seeds.chosen(given["name"], options.get("seed"), given.get("seeds")), options)

    def drawn(self, seed: int | None) -> MethodOptions:
        """The options of one draw."""
        return self if seed == self.given.get("seed") else replace(self, given={**self.given, "seed": seed})

    @property
    def variant(self) -> str:
        """The name in a record's path: the entry's, plus every option that differs from it."""
        named = {name: value for name, value in self.given.items() if name != "index"}
        index = self.given.get("index")
        return safe_name("method", variant("method", named) + (f"+index={variant('index', index)}" if index else ""))

    def identity(self) -> dict[str, Any]:
        """All options but the seeds of further draws: a score depends on each. A folder is known by its name alone."""
        named = {"model": encoder_name(self.given["model"])} if self.given.get("model") else {}
        return {**self.given, **named}


@dataclass(frozen=True)
class CenterOptions:
    """An entry of conf/center, with the options that the user changed.

    Attributes
    ----------
    query_tokens : the tokens of a query that the first stage sees (`harness.vectors.query_tokens`): ``all``, ``real``
        or ``words``
    mean_of : for a centering that needs the mean of queries: ``queries`` or ``pseudo_queries``
    fallback, max_queries : where these queries come from, and how many
    share, document_share : the weight of a query's, and of a document's own mean
    """

    name: str
    renormalize: bool
    query_tokens: str
    mean_of: str
    fallback: tuple[str, ...]
    max_queries: int | None
    share: float | None
    document_share: float | None
    given: dict[str, Any]

    @classmethod
    def of(cls, given: dict[str, Any]) -> CenterOptions:
        """The options of one centering."""
        return cls(
            given["name"],
            given.get("renormalize", False),
            given.get("query_tokens", _LATER["query_tokens"]),
            given.get("mean_of", _LATER["mean_of"]),
            tuple(given.get("fallback") or ()),
            given.get("max_queries"),
            given.get("share"),
            given.get("document_share"),
            given,
        )

    @property
    def variant(self) -> str:
        """The name in a record's path: the entry's, plus every option that differs from it."""
        return variant("center", self.given)

    def identity(self, query_mean: str | None) -> dict[str, Any]:
        """The options, and the sha256 of the queries whose mean is subtracted.

        Options that came later are part of it only where they are not as before they came: records stay what they are.
        """
        options = {name: value for name, value in self.given.items() if _LATER.get(name, ...) != value}
        return {**options, "query_mean": query_mean}


@dataclass(frozen=True)
class ModelOptions:
    """An entry of conf/model, with the options that the user changed.

    Attributes
    ----------
    query_length : tokens; None: the data set's, else the checkpoint's own
    seed : of the projection that a checkpoint without one gets
    pool_factor : one in this many of a document's token vectors is kept; None: all are
    is_given : whether its token vectors are given (``vectors=FOLDER``) and no text can be encoded
    """

    name: str
    query_length: int | None
    seed: int | None
    pool_factor: int | None
    is_given: bool
    given: dict[str, Any]

    @classmethod
    def of(cls, given: dict[str, Any]) -> ModelOptions:
        """The options of one model."""
        factor = given["pool_factor"] if given.get("pool") else None
        is_given = entry_of_folder(given) == VECTORS
        return cls(given["name"], given.get("query_length"), given.get("seed"), factor, is_given, given)

    @property
    def variant(self) -> str:
        """The name of the model's results: the entry's, plus every option that differs from it."""
        return model_name(self.given)

    def identity(self, query_length: int | None) -> dict[str, Any]:
        """The options that a score depends on beside the weights; `query_length` as it is on the data set."""
        pooled = {"pool": self.given["pool"], "pool_factor": self.pool_factor} if self.pool_factor else {}
        if self.is_given:  # nothing of it was encoded here
            return pooled
        return {**{name: self.given[name] for name in _SCORED}, "query_length": query_length, **pooled}


@dataclass(frozen=True)
class RunOptions:
    """The options of a run on one testbed: one model, one data set, and how they are measured.

    Attributes
    ----------
    dataset : the entry of conf/dataset
    depths : rerank depths that were asked for, ascending
    measures : what is measured beside NDCG@10
    overwrite : whether cells that are finished are measured again
    shard : which part of the documents
    save_runs : whether TREC run files are written, too
    block_bytes : what a block of documents may take while it is encoded and searched
    results, cache : folders
    given : all options of the run, but for method, center and dataset
    """

    model: ModelOptions
    dataset: dict[str, Any]
    depths: tuple[int, ...]
    measures: tuple[Measure, ...]
    overwrite: bool
    shard: Shard
    save_runs: bool
    progress: bool
    device: str
    threads: int | None
    batch_tokens: int | None
    block_bytes: int
    data_dir: str | None
    models_dir: str | None
    results: Path
    cache: Path
    given: dict[str, Any]

    @classmethod
    def of(cls, given: dict[str, Any], dataset: dict[str, Any]) -> RunOptions:
        """The options of a configuration on one of the data sets that it names."""
        same = ("overwrite", "save_runs", "progress", "device", "threads", "batch_tokens", "data_dir", "models_dir")
        return cls(
            model=ModelOptions.of(given["model"]),
            dataset=dataset,
            depths=tuple(int(depth) for depth in given["depths"]),
            measures=further(given),
            shard=parse(given["shard"]),
            block_bytes=given["memory_mb"] << 20,
            results=results_dir(given["results_dir"]),
            cache=user_path(given["cache_dir"]),
            given=given,
            **{name: given[name] for name in same},
        )

    @property
    def dataset_name(self) -> str:
        """The data set's name, which is a part of paths.

        Raises
        ------
        HarnessError
            If no file can have it.
        """
        return safe_name("dataset", self.dataset["name"])

    @property
    def title(self) -> str:
        """The data set and the model, for messages."""
        return f"{self.dataset['name']}  {self.model.name}"


def results_dir(option: str | None) -> Path:
    """Folder of the results: the option, or ``results`` of the checkout, or of the current folder without one."""
    return user_path(option) if option else default_results()
