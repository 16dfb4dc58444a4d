"""Options that are known: a word with a `+` may add others, which would be in names of results and change none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig

from harness.config.documented import documented
from harness.config.entries import choices, entry
from harness.system.errors import unknown


def refuse_unknown(config: DictConfig) -> None:
    """Refuse an option that conf/ does not have: of a model or data set in any entry, of a method in its own.

    What a source of training data may have is checked with the sources.

    Raises
    ------
    HarnessError
        For the first one, with those that are known.
    """
    for group in ("model", "dataset", "suite", "train_data"):
        known = {key for name in choices(group) for key in entry(group, name)}
        _refuse_others(group, config[group] or {}, known)
    for group in ("center", "method", "index", "objective"):
        _refuse_others(group, config[group], entry(group, config[group].name))
    named = [name.partition(".") for name in documented()]
    for section in ("train", "geometry"):
        _refuse_others(section, config[section], [option for group, _, option in named if group == section])


def _refuse_others(group: str, options: Mapping[Any, Any], known: Iterable[str]) -> None:
    for key in options:
        if key not in known:
            raise unknown("option", f"{group}.{key}", [f"{group}.{one}" for one in known])
