"""How far an experiment is: which of its cells are done, running, failed or missing, and what is left of it.

Done is a cell whose record has all depths that are asked for; whether its inputs are those of now is for `run` to say,
which reads data and weights for it. Running: a live process measures cells of its (model, data set). Failed: its last
run left a sentence in results_dir/failures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from harness import failures, locks, provenance, records, tables
from harness.config import safe_name
from harness.errors import HarnessError
from harness.estimate import Size, of_host, seconds_left
from harness.failures import Names
from harness.plan import Options, by_model, has_depths, names_of, results_dir, selected
from harness.records import Record
from harness.store import META
from harness.subject import device, model_name

DONE, RUNNING, FAILED, MISSING = STATES = ("done", "running", "failed", "missing")


@dataclass(frozen=True)
class Progress:
    """The cells of one (model, data set).

    Attributes
    ----------
    states : cell -> one of `STATES`
    said : cell -> what it failed with
    seconds : that are left; None: unknown
    """

    dataset: str
    model: str
    states: dict[Names, str]
    said: dict[Names, str]
    seconds: float | None


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
            names = [one for one in dict.fromkeys(names_of(dataset, model, c) for c in choices) if one not in counted]
            if not names:
                continue
            said = {one: text for one in names if (text := failures.read(results, one))}
            states = {one: _state(one, results, options["depths"], said, (dataset, model) in measured) for one in names}
            left = [one for one, state in states.items() if state != DONE]
            stores = _stores(cache, options["model"]["name"], dataset)
            of_dataset = [record for record in known if record.dataset == dataset]
            encoded = bool(stores) or any(record.model == model for record in of_dataset)
            size = _size(entry, options["depths"], model, of_dataset, stores)
            seconds = seconds_left(left, size, encoded, comparable)
            failed = {one: text for one, text in said.items() if states[one] == FAILED}
            found.append(Progress(dataset, model, states, failed, seconds))
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


def table(found: Sequence[Progress]) -> str:
    """One line for each (model, data set), what failed, and what is left in all, in Markdown."""
    lines = [
        {
            "Model": one.model,
            "Data set": one.dataset,
            **{state.capitalize(): str(sum(s == state for s in one.states.values())) for state in STATES},
            "Time left": duration(one.seconds),
        }
        for one in found
    ]
    failed = ["  ".join(cell) + f": {text}" for one in found for cell, text in one.said.items()]
    parts = [tables.pipes(pd.DataFrame(lines)), *(["Failed:\n" + "\n".join(failed)] if failed else []), _total(found)]
    return "\n\n".join(parts)


def _total(found: Sequence[Progress]) -> str:
    unknown, states = sum(one.seconds is None for one in found), [s for one in found for s in one.states.values()]
    known = duration(sum(one.seconds or 0.0 for one in found))
    left = known if not unknown else f"unknown for {unknown} of {len(found)} lines, {known} for the others"
    return (
        f"{states.count(DONE)} of {len(states)} cells done. Time left: {left if unknown < len(found) else 'unknown'}."
    )


def duration(seconds: float | None) -> str:
    """Seconds in a unit that suits them."""
    if seconds is None:
        return "unknown"
    if seconds == 0:
        return "none"
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
