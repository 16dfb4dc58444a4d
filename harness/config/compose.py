"""Options: Hydra composes them from conf/, this file checks them and says what is wrong in one sentence.

A run is described by overrides, `group=choice` or `option=value`, comma-separated in a sweep (``-m``). Some short
forms are expanded here, before Hydra sees them:

    (no model, suite, data set or experiment)      experiment=demo
    model.path=FOLDER   without model=             model=local
    dataset.path=FOLDER without dataset=           dataset=local
    train_data.path=FOLDER without train_data=     train_data=local
    vectors=FOLDER                                 model=vectors model.path=FOLDER
    query_tokens=real                              center.query_tokens=real
    pool=hierarchical pool.factor=3                model.pool=hierarchical model.pool_factor=3

No word and no file of conf/ may name code to run (`harness.config.untrusted`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from harness.config import entries, known, recommended, schema, texts
from harness.config.entries import GROUPS, VECTORS, choices, entry, entry_of_folder
from harness.config.names import LONGEST, plain_name, safe_name
from harness.config.untrusted import refuse_code, refuse_launcher, refuse_targets
from harness.system.errors import HarnessError, unknown
from harness.system.paths import user_path

_SHORT = {
    "query_tokens": "center.query_tokens",
    "pool": "model.pool",
    "pool.factor": "model.pool_factor",
    VECTORS: "model.path",
}
"""Short forms of options."""
_NAMES = ("center.name", "method.name", "index.name", "objective.name")
"""What an entry is called; of a model or data set it is the user's choice."""


def expand(overrides: Sequence[str]) -> list[str]:
    """The overrides with the short forms of the module's docstring written out."""
    words = [texts.quoted(_written_out(word)) for word in overrides]
    refuse_code(words)
    keys = {word.lstrip("+~").split("=")[0] for word in words}
    if any(word.startswith(f"{VECTORS}=") for word in overrides):
        if others := [word for word in words if word.startswith("model=") and word != f"model={VECTORS}"]:
            raise HarnessError(f"{VECTORS}=FOLDER is a model by itself: leave {others[0]} out.")
        words += [] if "model" in keys else [f"model={VECTORS}"]
        keys.add("model")
    for group in ("model", "dataset", "train_data"):
        if f"{group}.path" in keys and group not in keys:
            words.append(f"{group}=local")
    if not keys & {"model", "model.path", "dataset", "dataset.path", "suite", "experiment"}:
        words.append("experiment=demo")
    return words


def _written_out(word: str) -> str:
    name, equals, value = word.partition("=")
    return f"{_SHORT.get(name, name)}{equals}{value}"


def parse(overrides: Sequence[str]) -> list[Override]:
    """Hydra's reading of the overrides, with every group's choice looked up."""
    words = [texts.quoted(word) for word in overrides]
    refuse_code(words)
    parsed = [_parsed(word) for word in words]
    for override in parsed:
        if override.key_or_group in _NAMES:
            group = override.key_or_group.partition(".")[0]
            raise HarnessError(f"{override.input_line}: expected {group}=NAME, which chooses an entry of conf/{group}.")
        if override.key_or_group in GROUPS:
            for name in values(override):
                if name in ("null", "") and override.key_or_group in ("dataset", "experiment"):
                    continue  # these may be left out
                if name not in choices(override.key_or_group):
                    kind = "data set" if override.key_or_group == "dataset" else override.key_or_group
                    raise unknown(kind, name, choices(override.key_or_group))
                refuse_targets(entry(override.key_or_group, name))  # of a sweep's every cell
    return parsed


def _parsed(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise HarnessError(
            f"cannot read the word {word!r} ({_line(error)}): expected one such as method=smve."
        ) from error


def values(override: Override) -> list[str]:
    """The values of an override, without quotes: one, or those of a sweep."""
    if (names := _matching(override)) is not None:
        return names
    return ["null" if value is None else value for value in texts.values(override)]


def _matching(override: Override) -> list[str] | None:
    """The names of a group that ``glob(...)`` matches; None for another value."""
    value = override.value()
    if not isinstance(value, Glob):
        return None
    return list(value.filter(choices(override.key_or_group))) if override.key_or_group in GROUPS else []


def words_of(override: Override) -> list[str]:
    """An override as words of one value each.

    Raises
    ------
    HarnessError
        If it has no value, or infinitely many.
    """
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise HarnessError(f"{override.input_line}: expected a list of values, range(...) or glob(...).")
    found = _matching(override)
    if found is None:
        found = [str(value) for value in override.sweep_string_iterator()]  # with their quotes
    if not found:
        raise HarnessError(f"{override.input_line} matches nothing: `python -m harness ls` lists the names.")
    return [f"{override.get_key_element()}={value}" for value in found]


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration of some overrides (of a sweep: of its first cell), checked.

    Raises
    ------
    HarnessError
        For an unknown name, option or value, with the known ones.
    """
    with _reporting(overrides):
        return prepare(_compose(overrides)[0])


def launcher_options(overrides: Sequence[str]) -> dict[str, Any]:
    """The options of the launcher that the overrides name, checked; references to other options stay as written."""
    with _reporting(overrides):
        options: Any = OmegaConf.to_container(_compose(overrides)[1].launcher, resolve=False)
    return dict(options)


def hydra_options(overrides: Sequence[str]) -> DictConfig:
    """Hydra's own options, checked: the mode, an experiment's sweep, how messages are printed."""
    with _reporting(overrides):
        return _compose(overrides)[1]


def _compose(overrides: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """The configuration of the first cell, not resolved, and Hydra's options; no code is named in either."""
    single, launcher = [], "basic"
    for override in parse(overrides):
        if override.key_or_group == "hydra/launcher":
            launcher = values(override)[0]
        single.append(words_of(override)[0])
    config = deepcopy(_by_hydra(str(entries.CONF_DIR), tuple(single)))
    content: Any = OmegaConf.to_container(config, resolve=False)
    refuse_targets(content)
    refuse_launcher(content["hydra"], launcher)
    hydra = config.hydra
    with open_dict(config):
        del config["hydra"]
    return config, hydra


@lru_cache(maxsize=8)
def _by_hydra(folder: str, words: tuple[str, ...]) -> DictConfig:
    """Hydra's composition, a third of a second; a command asks several times for that of its first cell."""
    with initialize_config_dir(folder, version_base="1.3"):
        return compose("config", list(words), return_hydra_config=True)


@contextmanager
def _reporting(overrides: Sequence[str]) -> Iterator[None]:
    """Hydra's errors in one sentence, with the words that refer to other options or to the environment."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        named = [word for word in overrides if "${" in word]
        what = " ".join(named) if named and isinstance(error, InterpolationResolutionError) else "these options"
        raise HarnessError(
            f"cannot use {what} ({_line(error)}): `python -m harness ls` lists the names, conf/ has the options."
        ) from error


def prepare(config: DictConfig) -> DictConfig:
    """Resolve a composed configuration, name what is named by its path, and check all of it."""
    OmegaConf.resolve(config)
    known.refuse_unknown(config)
    if config.center.name == recommended.NAME:
        with open_dict(config):
            config.center = recommended.options(config.method.name, entry_of_folder(config.model) == VECTORS)
    schema.check_paths(config)
    for group in ("model", "dataset"):
        if config[group] is not None and config[group].name is None:
            path = config[group].path
            if not path:
                raise HarnessError(f"{group}={entry_of_folder(config[group])} names no folder: set {group}.path.")
            config[group].name = local_name(group, path)
        if config[group] is not None:
            safe_name(group, config[group].name, LONGEST)
    groups = ("model", "center", "method", "index")
    schema.check(config, {group: entry(group, _choice(group, config[group])) for group in groups})
    return config


def local_name(group: str, path: str) -> str:
    """The name of a model or data set in a folder: the folder's, as far as it can be a part of file names."""
    name = plain_name(user_path(path).resolve().name, group)
    # A folder that has the name of an entry is not that entry.
    return f"local-{name}" if name in choices(group) else name


def _choice(group: str, options: DictConfig) -> str:
    """The entry that the options came from: by name, or that of folders, or a method's or centering's own."""
    if options.name in choices(group):
        return str(options.name)
    return entry_of_folder(options) if group == "model" else choices(group)[0]


def _line(error: Exception) -> str:
    """Hydra's words in one line, without its advice to add an option, which would be unknown."""
    return re.sub(r" ?To append to your config use \S+", "", " ".join(str(error).split()))[:240]
