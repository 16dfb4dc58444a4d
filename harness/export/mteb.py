"""Results in mteb's format, where `mteb.ResultCache(FOLDER)` looks for them.

    FOLDER/results/<organization>__<model>/<revision>/experiments/<options>/
        model_meta.json     the model's name and revision; `experiment_kwargs`: the options
        <task>.json         the scores of one record at one rerank depth

One model has many results, so each is one of mteb's experiments: its options are the centering, the method and the
rerank depth. Nothing was computed by mteb: `mteb_version` says whose format it is (conf/mteb.yaml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import stdev
from typing import Any

import yaml

from harness.config import entries
from harness.config.measures import NDCG10, Measure
from harness.records import FINAL, FOREIGN, NO_MODEL, Record
from harness.system.errors import HarnessError
from harness.system.files import write_json

LANGUAGES, SUBSET = ["eng-Latn"], "default"
"""Those of each task in conf/mteb.yaml."""
UNKNOWN = (
    *("loader", "release_date", "languages", "n_parameters", "memory_usage_mb", "license", "open_weights"),
    *("public_training_code", "public_training_data", "use_instructions", "training_datasets"),
)
"""What model_meta.json must have and a record does not know."""
_COMMIT, _DIGITS = re.compile(r"[0-9a-f]{40}"), 40
_LONGEST = 200  # characters of an experiment's name; mteb names longer ones by their sha256


@dataclass(frozen=True)
class Result:
    """A record at one of its depths; `depth` is a rerank depth, or ``final``."""

    record: Record
    depth: str

    @property
    def model(self) -> str:
        """The model's id on the hub; of a model in a folder, and of another engine's run, its name here."""
        given = self.record.config.get("model") or {}
        hub = None if given.get("path") else given.get("hub")
        name = self.record.method.removeprefix(FOREIGN) if self.record.model == NO_MODEL else self.record.model
        return hub or f"local/{name.partition('+')[0]}"

    @property
    def revision(self) -> str:
        """The commit on the hub, if the model's entry names one; else the first digits of the sha256 of what was read.

        That is the weights, given token vectors, or another engine's run.
        """
        given, identity = self.record.config.get("model") or {}, self.record.identity
        commit = "" if given.get("path") else str(given.get("revision"))
        read = identity.get("weights") or identity.get("vectors") or identity.get("method", {}).get("run") or ""
        return commit if _COMMIT.fullmatch(commit) else str(read)[:_DIGITS]

    @property
    def options(self) -> dict[str, Any]:
        """What tells it from the model's other results."""
        depth = {} if self.depth == FINAL else {"rerank_depth": int(self.depth)}
        name = self.record.model
        known = name == NO_MODEL or name in entries.choices("model") or self.model == f"local/{name}"
        variant = {} if known else {"model": name}  # several models may have one id on the hub
        return {"center": self.record.center, "method": self.record.method, **depth, **variant}

    @property
    def folder(self) -> Path:
        """Where it stands in the folder of results; the last part is named as mteb names it."""
        named = "__".join(f"{name}_{value}" for name, value in sorted(self.options.items()))
        short = named if len(named) <= _LONGEST else f"exp_{sha256(named.encode()).hexdigest()[:16]}"
        return Path(self.model.replace("/", "__"), self.revision, "experiments", short)

    def meta(self) -> dict[str, Any]:
        """The content of model_meta.json."""
        given = self.record.config.get("model") or {}
        return {
            **dict.fromkeys(UNKNOWN),
            "name": self.model,
            "revision": self.revision,
            "max_tokens": given.get("document_length"),
            "embed_dim": given.get("dim"),
            "framework": ["PyLate"],
            "similarity_fn_name": "MaxSim",
            "modalities": ["text"],
            "model_type": ["late-interaction"],
            "experiment_kwargs": self.options,
        }

    def content(self) -> dict[str, Any]:
        """The content of the task's file."""
        task, revision = _known()["tasks"][self.record.dataset]
        split = self.record.config.get("dataset", {}).get("split", "test")
        return {
            "dataset_revision": revision,
            "task_name": task,
            "mteb_version": _known()["version"],
            "scores": {split: [self._scores()]},
            "evaluation_time": float(sum(self.record.seconds.values())),
            "kg_co2_emissions": None,
            "date": datetime.fromisoformat(self.record.started).timestamp() if self.record.started else None,
        }

    def _scores(self) -> dict[str, Any]:
        """The means of all measures, and the record's notes.

        Those of several draws are means over them; their number, and the standard deviation of NDCG@10, stand beside.
        """
        measures = [NDCG10, *map(Measure.of, self.record.measures)]
        seen = {f"{measure.kind}_at_{measure.cut}": self.record.seen_by(measure) for measure in measures}
        means = {name: record.ndcg10[self.depth] for name, record in seen.items()}
        draws = self.record.draws.means_at(self.depth) if self.record.draws.seeds else []
        spread = {"draws": len(draws), "ndcg_at_10_sd": stdev(draws)} if len(draws) > 1 else {}
        notes = {"notes": self.record.notes} if self.record.notes else {}
        place = {"hf_subset": SUBSET, "languages": LANGUAGES}
        return {"main_score": means["ndcg_at_10"], **means, **spread, **notes, **place}


@cache
def _known() -> Mapping[str, Any]:
    """The content of conf/mteb.yaml."""
    return dict(yaml.safe_load((entries.CONF_DIR / "mteb.yaml").read_text(encoding="utf-8")))


def check(records: Sequence[Record]) -> None:
    """Refuse records whose scores are not those of a task.

    Raises
    ------
    HarnessError
        For data sets that are no task of mteb, and for a corpus or queries that are not all there.
    """
    tasks = _known()["tasks"]
    if others := sorted({record.dataset for record in records} - tasks.keys()):
        raise HarnessError(
            f"no task of mteb has the data of {', '.join(others)}: name only data sets that are one (dataset= or "
            f"suite=): {', '.join(name for name in tasks if not name.startswith('cqadupstack-'))}."
        )
    for record in records:
        known = entries.entry("dataset", record.dataset) if record.dataset in entries.choices("dataset") else {}
        found = {"docs": record.details.get("documents"), "queries": len(record.per_query.get("queries", []))}
        for what, count in found.items():
            if known.get(what) and count != known[what]:
                raise HarnessError(
                    f"the records of {record.dataset} are of {count} {what}, but mteb's task has {known[what]}: "
                    "export records of the complete data set."
                )


def export(records: Sequence[Record], depths: Sequence[int], folder: Path) -> list[Path]:
    """Write the results of records at those of the depths that they have; returns the tasks' files."""
    check(records)
    asked = [FINAL, *map(str, depths)]
    written = []
    for result in [Result(record, depth) for record in records for depth in asked if depth in record.ndcg10]:
        content, place = result.content(), folder / "results" / result.folder
        write_json(place / "model_meta.json", result.meta())
        write_json(place / f"{content['task_name']}.json", content)
        written.append(place / f"{content['task_name']}.json")
    return written
