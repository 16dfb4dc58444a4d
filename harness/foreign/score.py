"""The run of another engine as a cell: a first stage that was searched elsewhere.

With a model, the run stands beside that model's rows and is reranked by its MaxSim at all depths. Without one it has
rk=0 alone, under the name `NO_MODEL`, and tables compare it with PLAID of the model beside it, if there is one.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from harness import records, run
from harness.config.entries import entry
from harness.config.measures import Measure
from harness.config.names import plain_name, safe_name
from harness.config.options import CenterOptions, MethodOptions, RunOptions
from harness.data import plausible
from harness.data.dataset import Dataset
from harness.evaluation.ndcg import CUT, Evaluator
from harness.foreign import read
from harness.measure import artifacts, first_stage, pending, preflight
from harness.measure.artifacts import Candidates
from harness.measure.cells import Cell, Options, Request
from harness.measure.failing import Failures
from harness.measure.recording import foreign_note, shortfall
from harness.measure.sources import read_dataset
from harness.measure.testbed import Testbed
from harness.ranking.ranks import Ranking, drop_self_matches
from harness.records import FOREIGN, NO_MODEL, CellKey, Record, notes
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.files import digest, file_digest, unreadable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run file, and the name of its method.

    Attributes
    ----------
    method : options as those of an entry of conf/method: ``name``, and the ``file``'s own name
    """

    path: Path
    method: MethodOptions
    sha256: str

    @classmethod
    def of(cls, path: Path, name: str | None) -> Run:
        """A run file by its path; without a name it has the file's.

        Raises
        ------
        HarnessError
            If there is no such file, it cannot be read, or the name cannot be part of a record's.
        """
        if not path.is_file():
            raise HarnessError(f"the run {path} does not exist: expected a file in trec_eval's format or ranx's JSON.")
        plain = plain_name(name or path.name.split(".")[0], "run").replace("+", "-")
        method = safe_name("run", FOREIGN + plain)
        try:
            sha256 = file_digest(path)
        except OSError as error:
            raise unreadable(path, error) from error
        return cls(path, MethodOptions(method, (None,), {"name": method, "file": path.name}), sha256)

    @property
    def identity(self) -> Options:
        """What its scores depend on: the file's content, not its name."""
        return {"name": self.method.name, "run": self.sha256}


def with_model(found: Run, options: RunOptions) -> list[str]:
    """Rerank a run with a model and write its record; returns a sentence for each failure."""
    preflight.refuse_inputs(options)
    failures = Failures()
    with Testbed.open(options, failures) as testbed:
        request = Request(found.method, _center(), asked=True)
        identity = {**testbed.identity, "center": request.center.identity(None), "method": found.identity}
        cell = pending.completed(testbed, request, None, identity)
        if not cell.depths:
            log.info("%s: finished before", cell.title)
            return []
        cells = pending.with_exact(testbed, [cell])
        with testbed.collect(cells):
            with first_stage.missing([cell]) as missing:
                if missing:
                    _keep(testbed, cell, read.read(found.path, testbed.dataset, cell.k + 1))
            run.write_records(testbed, run.complete(cells, run.score_candidates(testbed, cells)))
    return failures.sentences


def _keep(testbed: Testbed, cell: Cell, ranking: Ranking) -> None:
    """Keep what the other engine found as the cell's candidates."""
    docs = testbed.docs
    first, dropped = drop_self_matches(ranking, testbed.self_rows, cell.k)
    facts = {
        "documents": len(docs),
        "tokens": int(docs.offsets[-1]),
        "token_bytes": docs.nbytes,
        "index_bytes": None,  # only the other engine knows it
        "self_matches_removed": dropped,
        "seconds": testbed.encode_seconds,
        "details": {},
    }
    artifacts.write_candidates(cell.files.candidates, Candidates(first, facts))


def without_model(found: Run, options: RunOptions) -> None:
    """Score a run as it is, and write its record.

    Raises
    ------
    HarnessError
        For a measure that compares with a model's MaxSim, or if there is a record of another run of this name.
    """
    preflight.refuse_cuts(options)
    if any(measure.needs_exact for measure in options.measures):
        raise HarnessError("agreement=true compares a run with exact MaxSim, expected a model: name one, model=NAME.")
    dataset = read_dataset(json.dumps(options.dataset), options.data_dir, options.cache, options.progress)
    identity = {"dataset": dataset.sha256, "center": _center().identity(None), "method": found.identity}
    key = CellKey(options.dataset_name, NO_MODEL, "none", found.method.name)
    path, measures = records.record_path(options.results, *key), options.measures
    known = None if options.overwrite else pending.known_record(path, identity, may_replace=False)
    if known:
        measures = tuple(dict.fromkeys([*map(Measure.of, known.measures), *measures]))
        if len(measures) == len(known.measures):
            log.info("%s: finished before", key.title)
            return
    record = _described(key, found, options, dataset, measures, identity)
    records.write(options.results, record)
    log.info("%s: NDCG@10 rk=0 %.2f", key.title, 100 * record.ndcg10["0"])


def _described(
    key: CellKey,
    found: Run,
    options: RunOptions,
    dataset: Dataset,
    measures: tuple[Measure, ...],
    identity: Options,
) -> Record:
    """The record of a run without a model."""
    started, k = datetime.now(timezone.utc).isoformat(timespec="seconds"), max(*options.depths, CUT)
    own = dataset.self_rows
    ranking, dropped = drop_self_matches(read.read(found.path, dataset, k + 1), own, k)
    evaluator, depths = Evaluator(dataset), [depth for depth in options.depths if depth]
    scores, method = evaluator.ndcg10(ranking.rows), found.method.identity()
    place = {"path": Path(options.dataset["path"]).name} if options.dataset.get("path") else {}
    config = {"dataset": {**options.dataset, **place}, "method": method, "center": _center().given, "depths": [0]}
    recall = evaluator.candidate_recall(ranking.rows, depths)
    return Record(
        *key,
        ndcg10={"0": float(np.mean(scores))},
        candidate_recall={str(depth): share for depth, share in recall.items()},
        candidates={**shortfall([ranking], own, len(dataset.docs), k), "self_matches_removed": dropped},
        seconds={},
        bytes={},
        details={"documents": len(dataset.docs), **asdict(plausible.counted(dataset))},
        notes=[*(notes.DATA + line for line in dataset.notes), foreign_note(found.method)],
        identity=identity,
        config=config,
        sha256={"config": digest(config), "data": dataset.sha256, "code": provenance.code()},
        seeds={"model": None, "method": None},
        versions=provenance.versions(),
        host=provenance.host(torch.device("cpu")),
        commit=provenance.commit(),
        started=started,
        per_query={"queries": list(dataset.queries), "0": scores.tolist()},
        measures={measure.name: {"0": evaluator.score(measure, ranking.rows).tolist()} for measure in measures},
    )


def _center() -> CenterOptions:
    """No centering: what another engine did to its vectors is not known."""
    return CenterOptions.of(entry("center", "none"))
