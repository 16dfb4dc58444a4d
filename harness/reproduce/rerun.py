"""Reproduction: measure the cell of a record again, into a folder of its own.

The cell is the one that the record's ``config`` describes. A record keeps only the last part of a path, which is looked
up under models_dir or data_dir. All other folders are those of this machine, as for `run`. `harness.reproduce.verdict`
compares the two results.

A record may come from a stranger. Its options must be plain values: references (``${...}``) are refused, and no option
can choose a package or file of this machine.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig, OmegaConf

from harness import records
from harness.cache.inventory import MARKERS
from harness.config import compose, entries
from harness.config.names import safe_name
from harness.config.options import FLAT
from harness.measure.cells import Options
from harness.measure.failing import Failures
from harness.measure.grouping import by_testbed
from harness.measure.recording import SETTINGS
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.models import heads
from harness.records import Record
from harness.run import measure
from harness.system.errors import HarnessError
from harness.system.paths import user_path

GROUPS = ("model", "dataset", "center", "method", "index")
LOCAL_OPTIONS = ("package", "folder", "files", "known_weights", "title", "builder", "packages")
"""Options that describe this installation: they are taken from conf/, never from a record."""


@dataclass(frozen=True)
class Repetition:
    """A cell measured again.

    Attributes
    ----------
    record : the record that was made
    cached : names of the token vectors and indexes that were already in the cache
    """

    record: Record
    cached: list[str]


def read(path: Path) -> Record:
    """The record to reproduce.

    Raises
    ------
    HarnessError
        If it does not exist, is damaged or has another format.
    """
    if not path.is_file():
        raise HarnessError(
            f"the record {path} does not exist: expected a file of results/records, such as .../smve.json."
        )
    record = records.read(path)
    if record.is_foreign:
        raise HarnessError(
            f"the record {path} is the run of another engine ({record.run_file}), which cannot be "
            "searched again here: score the file again, with `score` and overwrite=true."
        )
    queries = record.per_query.get("queries", [])
    if not queries or any(len(record.per_query.get(depth, [])) != len(queries) for depth in record.ndcg10):
        raise HarnessError(
            f"the record {path} is damaged: expected the score of each of its {len(queries)} queries at every depth; "
            "measure the cell again with overwrite=true."
        )
    return record


def configuration(record: Record, overrides: Sequence[str]) -> DictConfig:
    """The configuration of a record's cell, on this machine, with overrides of single options.

    Raises
    ------
    HarnessError
        If the record's model, data set or options are not available, or an override would change the cell.
    """
    given = _named_options(overrides)
    _refuse_lookups("config", record.config)
    try:
        method = dict(record.config["method"])
        recorded = {**record.config, "index": method.pop("index", {"name": FLAT}), "method": method}
        chosen = {group: safe_name(group, recorded[group]["name"]) for group in GROUPS}
        based = {group: _entry(group, name, recorded[group]) for group, name in chosen.items()}
        words = [f"{group}={name}" for group, name in based.items()]
        named = [group for group in ("model", "dataset") if based[group] != chosen[group]]
        words += [f"{group}.path={chosen[group]}" for group in named]
        composed = compose.composed(compose.expand([*words, *overrides]))
        for group in GROUPS:
            _apply(composed, group, recorded[group], given)
        end_to_end = records.FINAL in record.ndcg10
        asked = [record.candidates["asked"]] if end_to_end else [int(depth) for depth in record.ndcg10]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HarnessError(
            f"the record of {record.dataset}, {record.model} has no usable config ({type(error).__name__}: {error}): "
            "expected what `run` writes."
        ) from error
    kept = {name: recorded[name] for name in SETTINGS if name in recorded and name not in given}
    fixed = {"depths": asked, "reference": None, "shard": None, "overwrite": True, "save_runs": False}
    return compose.prepare(OmegaConf.merge(composed, kept, fixed))  # type: ignore[arg-type]


def _refuse_lookups(name: str, value: Any) -> None:
    """Refuse text that the configuration would resolve, from the environment or by any other resolver."""
    if isinstance(value, str) and ("${" in value or value == "???"):
        raise HarnessError(f"the record's {name} is {value!r}: expected a plain value without references.")
    if isinstance(value, (dict, list)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_lookups(f"{name}.{key}", part)


def _named_options(overrides: Sequence[str]) -> set[str]:
    """The options that overrides name."""
    parsed = compose.parse(compose.expand([*overrides, "experiment=null"]))[: len(overrides)]
    for override in parsed:
        if override.key_or_group in entries.GROUPS or override.is_sweep_override():
            raise HarnessError(
                f"{override.input_line}: the record says which cell it is; expected single options, such as "
                "model.path=FOLDER or cache_dir=FOLDER."
            )
    return {override.key_or_group for override in parsed}


def _entry(group: str, name: str, options: Options) -> str:
    """The entry of conf/ that a record's options are based on."""
    return name if name in entries.choices(group) else entries.entry_of_folder(options)


def _apply(composed: DictConfig, group: str, recorded: Options, given: set[str]) -> None:
    """Replace the composed options of a group by those of the record, except the ones that overrides name."""
    known = composed[group]
    if group in ("center", "method", "index") and (strange := sorted(recorded.keys() - known.keys())):
        raise HarnessError(
            f"the record's {group} '{recorded['name']}' has the option {', '.join(strange)}, which this version does "
            "not know: reproduce it with the version of its commit."
        )
    for key, value in recorded.items():
        if f"{group}.{key}" in given or key not in known or key in LOCAL_OPTIONS:
            continue
        if key == "path" and value:
            value = _folder(group, value, composed.models_dir if group == "model" else composed.data_dir)
        if key == "head" and value and value not in heads.shipped():
            raise HarnessError(f"the record's model has the head {value!r}, which is not shipped: set model.head=FILE.")
        OmegaConf.update(known, key, value)


def _folder(group: str, name: Any, folder: str | None) -> str:
    """The folder with a name in models_dir or data_dir, or in one of its subfolders."""
    if not isinstance(name, str) or PureWindowsPath(name).name != name or name == ".." or not name.isprintable():
        raise HarnessError(f"the record's {group}.path is {name!r}: expected the name of a folder alone.")
    root, option = user_path(folder) if folder else None, {"model": "models_dir", "dataset": "data_dir"}[group]
    places = [root / name, *sorted(root.glob(f"*/{glob.escape(name)}"))] if root else []
    for place in places:
        if place.is_dir():
            return str(place)
    raise HarnessError(
        f"the record's {group} was the folder '{name}', which is not in {option}={folder or 'null'}: set "
        f"{group}.path=FOLDER."
    )


def repeat(configured: DictConfig) -> Repetition | None:
    """Measure the cell of a configuration; None if that failed, in which case the error was logged.

    Raises
    ------
    HarnessError
        If the data set or the model is not available.
    """
    with TemporaryDirectory(prefix="reproduce-") as folder:
        ((options, requests),) = by_testbed([OmegaConf.merge(configured, {"results_dir": folder})])  # type: ignore[list-item]
        failures = Failures()
        with Testbed.open(options, failures) as testbed:
            before = _finished(options.cache)
            measure(testbed, requests)
        if failures.sentences:
            return None
        (found,) = records.read_all(Path(folder))
        made = _finished(options.cache) - before
        name = requests[0].method.name
        stores = (testbed.docs, testbed.queries) if registry.needs_tokens(name, options.depths[-1]) else ()
        cached = [store.path.name for store in stores if store.path not in made]
        if name == "plaid" and not any(
            path.parent.name == "plaid" and path.name.startswith(testbed.docs.path.name) for path in made
        ):
            cached.append("PLAID's index")
        return Repetition(found, cached)


def _finished(cache: Path) -> set[Path]:
    """Folders of the complete token stores and indexes."""
    return {path.parent for kind in ("tokens", "plaid") for path in cache.glob(f"{kind}/*/{MARKERS[kind]}")}
