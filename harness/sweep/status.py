"""How far an experiment is: which of its cells are done, running, failed or missing, and what is left of it.

Done is a cell whose record has all depths that are asked for; whether its inputs are those of now is for `run` to say,
which reads data and weights for it. Running: a live process measures cells of its (model, data set). Failed: its last
run left a sentence in results_dir/failures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import pandas as pd
from omegaconf import DictConfig

from harness import records
from harness.config.names import model_name, safe_name
from harness.config.options import results_dir
from harness.measure.cells import Options
from harness.measure.grouping import by_model, selected
from harness.measure.pending import has_depths
from harness.records import Record, failures
from harness.records.failures import Names
from harness.sweep.estimate import Size, of_host, seconds_left
from harness.system import locks, provenance
from harness.system.device import device
from harness.system.errors import HarnessError
from harness.tables import formats
from harness.vectors.store import META

DONE, RUNNING, FAILED, MISSING = STATES = ("done", "running", "failed", "missing")


@dataclass(frozen=True)
class Progress:
    """The cells of one (model, data set).

    Attributes
    ----------
    states : cell -> one of `STATES`
    said : cell -> what it failed with
    seconds : that the cells take which are left and of which something comparable was measured
    unknown : how many are left of which nothing was
    guessed : whether the length of the data set's documents is that of other data sets
    """

    dataset: str
    model: str
    states: dict[Names, str]
    said: dict[Names, str]
    seconds: float
    unknown: int
    guessed: bool

    @property
    def left(self) -> list[Names]:
        """The cells that are not done."""
        return [one for one, state in self.states.items() if state != DONE]

    @property
    def missing_of_some(self) -> list[Names]:
        """The cells that are missing, where others are not."""
        found = [one for one, state in self.states.items() if state == MISSING]
        return found if len(found) < len(self.states) else []


def progress(configs: Sequence[DictConfig]) -> list[Progress]:
    """How far the cells of some configurations are, in the order in which `run` takes them; each counts once.

    Raises
    ------
    HarnessError
        If a record is damaged, or a name cannot be a file's.
    """
    found: list[Progress] = []
    for options, choices in by_model(configs):
        results, cache = results_dir(options["results_dir"]), Path(options["cache_dir"]).expanduser()
        known, measured = list(records.read_all(results)), locks.measured_now(cache)
        comparable = of_host(known, provenance.host(device(options["device"])))
        model = model_name(options["model"])
        for entry in selected(options):
            dataset = safe_name("dataset", entry["name"])
            counted = {cell for one in found for cell in one.states}
            names = [
                one for one in dict.fromkeys(request.key(dataset, model) for request in choices) if one not in counted
            ]
            if not names:
                continue
            said = {one: text for one in names if (text := failures.read(results, one))}
            states = {one: _state(one, results, options["depths"], said, (dataset, model) in measured) for one in names}
            left = [one for one, state in states.items() if state != DONE]
            stores = _stores(cache, options["model"]["name"], dataset)
            of_dataset = [record for record in known if record.dataset == dataset]
            encoded = bool(stores) or any(record.model == model for record in of_dataset)
            size = _size(entry, options["depths"], model, of_dataset, stores)
            if guessed := size.tokens is None:
                size = replace(size, tokens=_guess(entry, model, known))
            estimated = [one for one in left if seconds_left([one], size, encoded, comparable) is not None]
            seconds = seconds_left(estimated, size, encoded, comparable) or 0.0
            failed = {one: text for one, text in said.items() if states[one] == FAILED}
            unknown = len(left) - len(estimated)
            found.append(Progress(dataset, model, states, failed, seconds, unknown, guessed and unknown < len(left)))
    return found


def _state(cell: Names, results: Path, depths: list[int], said: dict[Names, str], measured: bool) -> str:
    path = records.record_path(results, *cell)
    if path.exists() and has_depths(records.read(path), depths):
        return DONE
    return RUNNING if measured else FAILED if cell in said else MISSING


def _stores(cache: Path, model: str, dataset: str) -> list[Path]:
    """The complete stores of a (model, data set)'s whole corpus, by their names."""
    return [path for path in cache.glob(f"tokens/{model}-{dataset}-documents-{'[0-9a-f]' * 16}/{META}")]


def _size(entry: Options, depths: list[int], model: str, of_dataset: list[Record], stores: list[Path]) -> Size:
    """What is known of a data set's size: from a record (best of the same model), or a store."""
    nearest = sorted(of_dataset, key=lambda record: record.model != model)
    try:
        kept = [int(json.loads(path.read_text())["tokens"]) for path in stores]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"a token store is damaged ({error}): `python -m harness cache verify` names it.") from error
    tokens = [record.details["document_tokens"] for record in nearest[:1]] or kept
    queries = [entry.get("queries"), *(len(record.per_query["queries"]) for record in nearest)]
    return Size(tokens[0] if tokens else None, next((count for count in queries if count), None), depths[-1])


def _guess(entry: Options, model: str, known: list[Record]) -> int | None:
    """Document tokens of a data set that was never encoded: its documents, as long as those of the others are."""
    alike = [one for one in known if one.model == model] or known
    counts = {one.dataset: (one.details["document_tokens"], one.details.get("documents")) for one in alike}
    lengths = [tokens / documents for tokens, documents in counts.values() if documents]
    return round(entry["docs"] * median(lengths)) if entry.get("docs") and lengths else None


def table(found: Sequence[Progress]) -> str:
    """One line for each (model, data set), what failed, what is missing beside what is not, and what is left in all.

    In Markdown.
    """
    lines = [
        {
            "Model": one.model,
            "Data set": one.dataset,
            **{state.capitalize(): str(sum(s == state for s in one.states.values())) for state in STATES},
            "Time left": _duration([one]),
        }
        for one in found
    ]
    failed = ["  ".join(cell) + f": {text}" for one in found for cell, text in one.said.items()]
    missing = ["  ".join(cell) for one in found for cell in one.missing_of_some]
    parts = [formats.pipes(pd.DataFrame(lines))]
    for title, some in (("Failed", failed), ("Missing, of what has begun", missing)):
        if some:
            parts.append(f"{title}:\n" + "\n".join(some))
    states = [state for one in found for state in one.states.values()]
    total = f"{states.count(DONE)} of {len(states)} cells done. Time left: {_duration(found)}."
    return "\n\n".join([*parts, total])


def _duration(found: Sequence[Progress]) -> str:
    """What is left of some lines."""
    left, unknown = sum(len(one.left) for one in found), sum(one.unknown for one in found)
    if not left:
        return "none"
    if unknown == left:
        return "unknown"
    about = "roughly" if any(one.guessed for one in found) else "about"
    others = f", and unknown for {unknown} cell{'s' if unknown > 1 else ''}" if unknown else ""
    return f"{about} {duration(sum(one.seconds for one in found))}{others}"


def duration(seconds: float) -> str:
    """Seconds in a unit that suits them."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
