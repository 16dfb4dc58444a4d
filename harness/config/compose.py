"""Options: Hydra composes them from conf/, this file checks them and says what is wrong in one sentence.

A run is described by overrides, `group=choice` or `option=value`, comma-separated in a sweep (``-m``). Some short
forms are expanded here, before Hydra sees them:

    (no model, suite, data set or experiment)      experiment=demo
    model.path=FOLDER   without model=             model=local
    dataset.path=FOLDER without dataset=           dataset=local
    train_data.path=FOLDER without train_data=     train_data=local

No word and no file of conf/ may name code to run (`harness.config.untrusted`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from harness.config import entries, schema
from harness.config.entries import GROUPS, choices, entry
from harness.config.names import LONGEST, safe_name
from harness.config.untrusted import refuse_code, refuse_launcher, refuse_targets
from harness.system.errors import HarnessError, unknown

_UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]+")


def expand(overrides: Sequence[str]) -> list[str]:
    """The overrides with the short forms of the module's docstring written out."""
    refuse_code(overrides)
    words = [quoted(word) for word in overrides]
    keys = {word.lstrip("+~").split("=")[0] for word in words}
    for group in ("model", "dataset", "train_data"):
        if f"{group}.path" in keys and group not in keys:
            words.append(f"{group}=local")
    if not keys & {"model", "model.path", "dataset", "dataset.path", "suite", "experiment"}:
        words.append("experiment=demo")
    return words


def quoted(word: str) -> str:
    """A path with characters that mean something to Hydra, such as blanks or brackets, in quotes."""
    key, _, value = word.partition("=")
    if (
        (key == "output" or key.endswith((".path", ".head", ".output", "_dir")))
        and re.search(r"[^\w./,~+:@%\\-]", value)
        and not value.startswith(("'", '"', "$"))
    ):
        value = '"' + value.replace('"', '\\"') + '"'
    return f"{key}={value}" if "=" in word else word


def parse(overrides: Sequence[str]) -> list[Override]:
    """Hydra's reading of the overrides, with every group's choice looked up."""
    refuse_code(overrides)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise HarnessError(
            f"cannot read the overrides {' '.join(overrides)!r} ({_line(error)}): expected words such as method=smve."
        ) from error
    for override in parsed:
        if override.key_or_group in GROUPS:
            for name in values(override):
                if name in ("null", "") and override.key_or_group in ("dataset", "experiment"):
                    continue  # these may be left out
                if name not in choices(override.key_or_group):
                    kind = "data set" if override.key_or_group == "dataset" else override.key_or_group
                    raise unknown(kind, name, choices(override.key_or_group))
                refuse_targets(entry(override.key_or_group, name))  # of a sweep's every cell
    return parsed


def values(override: Override) -> list[str]:
    """The values of an override: one, or those of a sweep."""
    value = override.value()
    if isinstance(value, Glob):
        return list(value.filter(choices(override.key_or_group))) if override.key_or_group in GROUPS else []
    if override.is_sweep_override() and override.is_discrete_sweep():
        return [str(item) for item in override.sweep_string_iterator()]
    return ["null" if value is None else str(value)]


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
    found = values(override)
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
    with initialize_config_dir(str(entries.CONF_DIR), version_base="1.3"):
        config = compose("config", single, return_hydra_config=True)
    content: Any = OmegaConf.to_container(config, resolve=False)
    refuse_targets(content)
    refuse_launcher(content["hydra"], launcher)
    hydra = config.hydra
    with open_dict(config):
        del config["hydra"]
    return config, hydra


@contextmanager
def _reporting(overrides: Sequence[str]) -> Iterator[None]:
    """Hydra's errors in one sentence."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise HarnessError(
            f"cannot use the overrides {' '.join(overrides)!r} ({_line(error)}): `python -m harness ls` lists the "
            "names, conf/ has the options."
        ) from error


def prepare(config: DictConfig) -> DictConfig:
    """Resolve a composed configuration, name what is named by its path, and check all of it."""
    OmegaConf.resolve(config)
    schema.check_paths(config)
    for group in ("model", "dataset"):
        if config[group] is not None and config[group].name is None:
            path = config[group].path
            if not path:
                raise HarnessError(f"{group}=local names no folder: set {group}.path.")
            name = _UNSAFE.sub("-", Path(path).expanduser().resolve().name).strip("-.") or group
            # A folder that has the name of an entry is not that entry.
            config[group].name = f"local-{name}" if name in choices(group) else name
        if config[group] is not None:
            safe_name(group, config[group].name, LONGEST)
    groups = ("model", "center", "method")
    schema.check(config, {group: entry(group, _choice(group, config[group].name)) for group in groups})
    return config


def _choice(group: str, name: str) -> str:
    """The entry that the options came from: by name, or a method's or centering's own, or ``local``."""
    return name if name in choices(group) else "local" if group == "model" else choices(group)[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:240]
