"""The status of an experiment: which cells are done, running, failed or missing, and how long the rest may take.

done      the record has all rerank depths, draws and measures that are asked for. Only `run` checks the inputs as
          well, for which it reads data and weights
running   a live process measures cells of the same (model, data set)
failed    the last run left a message in results_dir/failures
missing   all others
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import pandas as pd
from omegaconf import DictConfig

from harness import records
from harness.config.measures import further
from harness.config.names import model_name, safe_name
from harness.config.options import results_dir
from harness.config.seeds import Seeds
from harness.measure.cells import Options
from harness.measure.grouping import by_model, selected
from harness.measure.pending import has_all
from harness.records import CellKey, Record, failures
from harness.sweep.estimate import Size, of_host, seconds_left
from harness.system import locks, provenance
from harness.system.device import device
from harness.system.errors import HarnessError
from harness.system.paths import user_path
from harness.tables import formats
from harness.vectors.store import META

DONE, RUNNING, FAILED, MISSING = STATES = ("done", "running", "failed", "missing")


@dataclass(frozen=True)
class Progress:
    """The cells of one (model, data set): a line of the table.

    Attributes
    ----------
    states : cell -> one of `STATES`
    errors : failed cell -> the message of its failure
    seconds : estimated time for the cells that are left, as far as a comparable cell was measured
    unknown : number of cells that are left and have no estimate
    is_rough : whether the estimate assumes that the data set's documents are as long as those of other data sets
    """

    dataset: str
    model: str
    states: dict[CellKey, str]
    errors: dict[CellKey, str]
    seconds: float
    unknown: int
    is_rough: bool

    @property
    def left(self) -> list[CellKey]:
        """The cells that are not done."""
        return [cell for cell, state in self.states.items() if state != DONE]

    @property
    def missing_once_begun(self) -> list[CellKey]:
        """The missing cells; empty if all cells are missing, as then nothing has begun."""
        missing = [cell for cell, state in self.states.items() if state == MISSING]
        return missing if len(missing) < len(self.states) else []


@dataclass(frozen=True)
class _Known:
    """The records and locks that the status of one model's cells depends on.

    Attributes
    ----------
    options : the options of the model's configurations
    results, cache : results_dir and cache_dir
    records : all records in results_dir
    comparable : the records that were measured on a host like this one
    running : (data set, model) pairs that live processes measure
    """

    options: Options
    model: str
    results: Path
    cache: Path
    records: list[Record]
    comparable: list[Record]
    running: set[tuple[str, str]]

    @classmethod
    def of(cls, options: Options) -> _Known:
        """Read the records and locks that belong to the options."""
        results, cache = results_dir(options["results_dir"]), user_path(options["cache_dir"])
        measured = list(records.read_all(results))
        comparable = of_host(measured, provenance.host(device(options["device"])))
        return cls(
            options, model_name(options["model"]), results, cache, measured, comparable, locks.measured_now(cache)
        )


def progress(configs: Sequence[DictConfig]) -> list[Progress]:
    """The progress of the cells of the configurations, in the order in which `run` takes them; each cell counts once.

    Raises
    ------
    HarnessError
        If a record is damaged, or a name cannot be that of a file.
    """
    lines: list[Progress] = []
    counted: set[CellKey] = set()
    for options, requests in by_model(configs):
        known = _Known.of(options)
        ordered = sorted(requests, key=lambda request: request.asked)  # what is asked for replaces the reference
        for entry in selected(options):
            dataset = safe_name("dataset", entry["name"])
            asked = {request.key(dataset, known.model): request.method.seeds for request in ordered}
            cells = {cell: seeds for cell, seeds in asked.items() if cell not in counted}
            counted |= cells.keys()
            if cells:
                lines.append(_line(cells, entry, dataset, known))
    return lines


def _line(cells: Mapping[CellKey, Seeds], entry: Options, dataset: str, known: _Known) -> Progress:
    """The progress of the cells of one data set, each with the seeds of the draws that are asked for."""
    errors = {cell: text for cell in cells if (text := failures.read(known.results, cell))}
    is_running = (dataset, known.model) in known.running
    states = {cell: _state(cell, seeds, known, cell in errors, is_running) for cell, seeds in cells.items()}
    left = {cell: len(cells[cell]) for cell, state in states.items() if state != DONE}
    failed = {cell: text for cell, text in errors.items() if states[cell] == FAILED}
    seconds, unknown, is_rough = _time_left(left, entry, dataset, known)
    return Progress(dataset, known.model, states, failed, seconds, unknown, is_rough)


def _state(cell: CellKey, seeds: Seeds, known: _Known, has_failed: bool, is_running: bool) -> str:
    """One of `STATES`."""
    path = records.record_path(known.results, *cell)
    options = known.options
    if path.exists() and has_all(records.read(path), options["depths"], seeds, further(options)):
        return DONE
    return RUNNING if is_running else FAILED if has_failed else MISSING


def _time_left(draws: Mapping[CellKey, int], entry: Options, dataset: str, known: _Known) -> tuple[float, int, bool]:
    """Seconds for the cells that can be estimated, the number of the others, and whether the estimate is rough."""
    stores = _stores(known.cache, known.options["model"]["name"], dataset)
    on_dataset = [record for record in known.records if record.dataset == dataset]
    is_encoded = bool(stores) or any(
        record.model == known.model and "document_tokens" in record.details for record in on_dataset
    )
    size = _size(entry, known.options["depths"], known.model, on_dataset, stores)
    if is_rough := size.tokens is None:
        size = replace(size, tokens=_tokens_as_elsewhere(entry, known.model, known.records))
    estimated = {
        cell: count
        for cell, count in draws.items()
        if seconds_left({cell: count}, size, is_encoded, known.comparable) is not None
    }
    seconds = seconds_left(estimated, size, is_encoded, known.comparable) or 0.0
    return seconds, len(draws) - len(estimated), is_rough and bool(estimated)


def _stores(cache: Path, model: str, dataset: str) -> list[Path]:
    """The markers of the complete token stores of a (model, data set)'s whole corpus."""
    return list(cache.glob(f"tokens/{model}-{dataset}-documents-{'[0-9a-f]' * 16}/{META}"))


def _size(entry: Options, depths: list[int], model: str, on_dataset: list[Record], stores: list[Path]) -> Size:
    """The size of a data set: from a record, preferably of the same model, or from a token store."""
    nearest = sorted(on_dataset, key=lambda record: record.model != model)
    counted = [record for record in nearest if "document_tokens" in record.details]  # a run without a model has none
    try:
        stored = [int(json.loads(path.read_text())["tokens"]) for path in stores]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"a token store is damaged ({error}): `python -m harness cache verify` names it.") from error
    tokens = [record.details["document_tokens"] for record in counted[:1]] or stored
    queries = [entry.get("queries"), *(len(record.per_query["queries"]) for record in nearest)]
    documents = [entry.get("docs"), *(record.details.get("documents") for record in nearest)]
    token_count, query_count, document_count = (
        next((count for count in some if count), None) for some in (tokens, queries, documents)
    )
    return Size(token_count, query_count, depths[-1], document_count)


def _tokens_as_elsewhere(entry: Options, model: str, measured: list[Record]) -> int | None:
    """Document tokens of a data set that was never encoded, if its documents are as long as those of others."""
    same_model = [record for record in measured if record.model == model] or measured
    counts = {
        record.dataset: (record.details["document_tokens"], record.details.get("documents"))
        for record in same_model
        if "document_tokens" in record.details
    }
    lengths = [tokens / documents for tokens, documents in counts.values() if documents]
    return round(entry["docs"] * median(lengths)) if entry.get("docs") and lengths else None


def table(found: Sequence[Progress]) -> str:
    """Markdown: a line for each (model, data set), the failures, the cells that are `missing_once_begun`, the total."""
    lines = [
        {
            "Model": line.model,
            "Data set": line.dataset,
            **{state.capitalize(): str(list(line.states.values()).count(state)) for state in STATES},
            "Time left": time_left([line]),
        }
        for line in found
    ]
    failed = ["  ".join(cell) + f": {text}" for line in found for cell, text in line.errors.items()]
    missing = ["  ".join(cell) for line in found for cell in line.missing_once_begun]
    parts = [formats.pipes(pd.DataFrame(lines))]
    for title, items in (("Failed", failed), ("Missing, of what has begun", missing)):
        if items:
            parts.append(f"{title}:\n" + "\n".join(items))
    states = [state for line in found for state in line.states.values()]
    total = f"{states.count(DONE)} of {len(states)} cells done. Time left: {time_left(found)}."
    return "\n\n".join([*parts, total])


def time_left(found: Sequence[Progress]) -> str:
    """The time left for some lines: "about" if the size of their data sets is known, "roughly" if it is assumed."""
    left, unknown = sum(len(line.left) for line in found), sum(line.unknown for line in found)
    if not left:
        return "none"
    if unknown == left:
        return "unknown"
    about = "roughly" if any(line.is_rough for line in found) else "about"
    others = f", and unknown for {unknown} cell{'s' if unknown > 1 else ''}" if unknown else ""
    return f"{about} {formats.duration(sum(line.seconds for line in found))}{others}"
